#include "agent/service/convert.h"

#include <algorithm>
#include <string>
#include <utility>

#include "agent/worker/log_tail.h"
#include "common/text.h"

namespace dx {
namespace {

constexpr std::size_t kMaxTextBytes = 4096;
constexpr int kMaxOptions = 64;
constexpr std::size_t kMaxOptionBytes = 200;

// What comes from files of a board, of a model or of a worker may be anything.
std::string clean(const std::string& text) { return clean_utf8(text, kMaxTextBytes); }

void add_readings(const std::vector<Reading>& readings,
                  google::protobuf::RepeatedPtrField<pb::Reading>& messages) {
  for (const Reading& reading : readings) {
    pb::Reading& message = *messages.Add();
    message.set_name(clean(reading.name));
    message.set_value(reading.value);
    message.set_source(clean(reading.source));
  }
}

void add_infos(const std::vector<TensorInfo>& infos,
               google::protobuf::RepeatedPtrField<pb::TensorInfo>& messages) {
  for (const TensorInfo& info : infos) {
    pb::TensorInfo& message = *messages.Add();
    message.set_name(clean(info.name));
    message.set_dtype(clean(info.dtype));
    message.set_dims_told(info.dims.has_value());
    if (info.dims) message.mutable_dims()->Add(info.dims->begin(), info.dims->end());
  }
}

}  // namespace

void to_proto(const Conditions& conditions, pb::Conditions& message) {
  add_readings(conditions.temperatures, *message.mutable_temperatures());
  add_readings(conditions.frequencies, *message.mutable_frequencies());
  for (const std::string& governor : conditions.governors) message.add_governors(clean(governor));
  for (const Measure& measure : conditions.measures) {
    pb::Measure& entry = *message.add_measures();
    entry.set_name(clean(measure.name));
    entry.set_value(measure.value);
    entry.set_unit(measure.unit);
    entry.set_source(clean(measure.source));
  }
  for (const std::string& setting : conditions.settings) message.add_settings(clean(setting));
}

void to_proto(const Board& board, pb::DeviceDescription& message) {
  message.set_machine(clean(board.machine));
  message.set_kernel(clean(board.kernel));
  message.set_os(clean(board.os));
  message.set_libc(clean(board.libc));
  if (board.soc) message.set_soc(clean(*board.soc));
  if (board.cpu_model) message.set_cpu_model(clean(*board.cpu_model));
  message.set_cores(board.cores);
  for (const Cluster& cluster : board.clusters) {
    pb::Cluster& entry = *message.add_clusters();
    entry.set_name(cluster.name);
    entry.mutable_cpus()->Add(cluster.cpus.begin(), cluster.cpus.end());
    entry.set_max_mhz(cluster.max_mhz);
  }
  for (const std::string& feature : board.isa_features) message.add_isa_features(clean(feature));
  if (board.memory_bytes) message.set_memory_bytes(*board.memory_bytes);
  if (board.memory_available_bytes) {
    message.set_memory_available_bytes(*board.memory_available_bytes);
  }
  if (board.disk_free_bytes) message.set_disk_free_bytes(*board.disk_free_bytes);
  to_proto(board.conditions, *message.mutable_conditions());
  message.set_free_cores(board.free_cores);
  if (board.processor_quota) message.set_processor_quota(*board.processor_quota);
  message.set_emulated(board.emulated);
  message.set_emulated_reason(board.emulated_reason);
}

void to_proto(const Loaded& loaded, pb::Loaded& message) {
  message.set_load_ns(loaded.load_ns);
  add_infos(loaded.inputs, *message.mutable_inputs());
  add_infos(loaded.outputs, *message.mutable_outputs());
  message.set_threads(loaded.threads);
  message.set_runtime_version(printable(loaded.runtime_version, 100));
  message.set_accelerator_bytes(loaded.accelerator_bytes);
}

void to_proto(const Progress& progress, pb::Progress& message) {
  if (progress.fraction >= 0) message.set_fraction(std::min(progress.fraction, 1.0));
  message.set_text(clean(progress.text));
}

void to_proto(const LayerTimes& layer, pb::LayerTimes& message) {
  message.set_index(layer.index);
  message.set_name(clean(layer.name));
  message.set_type(clean(layer.type));
  message.mutable_dims()->Add(layer.dims.begin(), layer.dims.end());
  message.set_element_bits(layer.element_bits);
  message.set_packing(layer.packing);
  message.set_precision(clean(layer.precision));
  message.set_unit(clean(layer.unit));
  message.set_fell_back(layer.fell_back);
  message.mutable_ns()->Add(layer.ns.begin(), layer.ns.end());
  message.mutable_cycles()->Add(layer.cycles.begin(), layer.cycles.end());
}

void to_proto(const BenchDone& done, pb::BenchSummary& message) {
  message.set_first_run_ns(done.first_run_ns);
  message.set_runs(done.runs);
  if (done.waited_ns) message.set_waited_ns(*done.waited_ns);
  if (done.throttled_ns) message.set_throttled_ns(*done.throttled_ns);
  for (const std::string& name : done.fell_back) message.add_fell_back(clean(name));
  for (const PrecisionCount& count : done.precisions) {
    pb::PrecisionCount& entry = *message.add_precisions();
    entry.set_precision(clean(count.precision));
    entry.set_layers(count.layers);
  }
  if (done.throughput.streams > 0) {
    pb::Throughput& throughput = *message.mutable_throughput();
    throughput.set_streams(done.throughput.streams);
    throughput.set_runs(done.throughput.runs);
    throughput.set_ns(done.throughput.ns);
  }
  for (const UnitCount& count : done.units) {
    pb::UnitCount& entry = *message.add_units();
    entry.set_unit(clean(count.unit));
    entry.set_layers(count.layers);
    entry.set_fell_back(count.fell_back);
  }
}

void to_proto(Outputs&& outputs, pb::InferReply& message) {
  message.set_sequence(outputs.sequence);
  message.set_compute_ns(outputs.compute_ns);
  message.set_worker_ns(outputs.worker_ns);
  for (Tensor& tensor : outputs.outputs) {
    pb::Tensor& entry = *message.add_outputs();
    entry.set_name(clean(tensor.name));
    entry.set_dtype(clean(tensor.dtype));
    entry.mutable_dims()->Add(tensor.dims.begin(), tensor.dims.end());
    entry.set_data(std::move(tensor.data));
    entry.set_batched(tensor.batched);
  }
}

Result<RunOptions> from_proto(const pb::RunOptions& options) {
  RunOptions result;
  result.threads = options.threads();
  if (!pb::CoreSelection_IsValid(options.cores())) {
    return Failure{FailureCode::kInvalidRequest,
                   "expected 'cores' to be all, little or big, got number " +
                       std::to_string(static_cast<int>(options.cores())),
                   Phase::kUnspecified};
  }
  result.cores = static_cast<CoreSelection>(options.cores());
  if (!options.accelerator().empty()) result.accelerator = options.accelerator();
  result.precision = options.precision();
  if (options.named_size() > kMaxOptions) {
    return Failure{FailureCode::kInvalidRequest,
                   "expected at most 64 options, got " + std::to_string(options.named_size()),
                   Phase::kUnspecified};
  }
  for (const auto& [name, value] : options.named()) {
    if (name.size() > kMaxOptionBytes || value.size() > kMaxOptionBytes) {
      return Failure{FailureCode::kInvalidRequest,
                     "expected the names and values of options to have at most 200 bytes, got '" +
                         printable(name, 40) + "' with more",
                     Phase::kUnspecified};
    }
    result.named.emplace(name, value);
  }
  return result;
}

std::vector<Tensor> from_proto(google::protobuf::RepeatedPtrField<pb::Tensor>&& tensors) {
  std::vector<Tensor> result;
  result.reserve(static_cast<std::size_t>(tensors.size()));
  for (pb::Tensor& tensor : tensors) {
    Tensor& entry = result.emplace_back();
    entry.name = std::move(*tensor.mutable_name());
    if (!tensor.dtype().empty()) entry.dtype = std::move(*tensor.mutable_dtype());
    entry.dims.assign(tensor.dims().begin(), tensor.dims().end());
    entry.data = std::move(*tensor.mutable_data());
    entry.batched = tensor.batched();
  }
  return result;
}

std::vector<FeedBack> from_proto(const google::protobuf::RepeatedPtrField<pb::FeedBack>& feeds) {
  std::vector<FeedBack> result;
  result.reserve(static_cast<std::size_t>(feeds.size()));
  for (const pb::FeedBack& feed : feeds) {
    result.push_back({feed.output(), feed.input(), feed.grows(), feed.omitted()});
  }
  return result;
}

}  // namespace dx
