#include "workers/ncnn/ncnn_model.h"

#include <cpu.h>
#include <layer.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <utility>

#include "common/text.h"
#include "workers/ncnn/fork_join.h"
#include "workers/ncnn/operator.h"
#include "workers/ncnn/tensor_mats.h"

namespace dx {
namespace {

using Clock = std::chrono::steady_clock;

// Layers that hand on or move data; whatever their element size is, they decide nothing.
constexpr std::array<const char*, 22> kMovers = {
    "Input",      "Split",   "Noop",     "MemoryData", "Reshape", "Flatten",
    "Squeeze",    "Dropout", "Permute",  "Slice",      "Crop",    "ShuffleChannel",
    "ExpandDims", "Concat",  "Padding",  "Tile",       "Reorg",   "PixelShuffle",
    "Packing",    "Cast",    "DeepCopy", "CopyTo",
};

std::int64_t nanoseconds_since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
}

Failure refuse(const std::string& message) { return {FailureCode::kRuntimeRefused, message, {}}; }

Failure ncnn_failed(const std::string& where, int code) {
  if (const char* const complaint = take_complaint()) return refuse(where + ": " + complaint);
  return refuse("ncnn failed in " + where + " with code " + std::to_string(code) +
                (code == -100 ? " (no memory, or a shape that the layer cannot take)" : "") +
                ": check the dims of the inputs");
}

std::string layer_text(const ncnn::Layer& layer) {
  return "layer '" + printable(layer.name, 80) + "' (" + printable(layer.type, 80) + ")";
}

// Whether 16-bit blobs of this build, processor and these options are bfloat16. The order of the
// conditions is that of ncnn's own conversions (Net::convert_layout).
bool sixteen_bits_are_bf16(const ncnn::Option& option) {
#if defined(__x86_64__) || defined(__i386__)
  (void)option;
  return true;
#else
  const bool fp16_hardware = ncnn::cpu_support_arm_asimdhp() != 0 ||
                             ncnn::cpu_support_riscv_zvfh() != 0 ||
                             ncnn::cpu_support_riscv_zfh() != 0;
  return option.use_bf16_storage && !(option.use_fp16_storage && fp16_hardware);
#endif
}

// A dense float32 tensor from what `extract` gave.
Status append_result(const ncnn::Mat& mat, const std::string& name, Tensor& tensor) {
  if (mat.empty()) return refuse("output '" + name + "' is empty");
  ncnn::Mat plain = mat;
  if (mat.elempack != 1) ncnn::convert_packing(mat, plain, 1);
  if (plain.empty() || plain.elembits() != 32 || plain.elempack != 1) {
    return refuse("output '" + name + "' cannot be had as float32: ncnn left it with " +
                  std::to_string(mat.elembits()) + " bits an element");
  }
  const std::vector<std::int64_t> dims = dims_of(plain);
  if (tensor.data.empty()) tensor.dims = dims;
  if (tensor.dims != dims) {
    return refuse("output '" + name + "' has dims " + dims_text(dims) + " in one sample and " +
                  dims_text(tensor.dims) + " in another: run them one by one");
  }
  append_floats(plain, tensor.data);
  return {};
}

// ncnn throws nothing of its own, but the standard library in it may.
template <class Function>
auto guarded(Function function) -> decltype(function()) {
  try {
    return function();
  } catch (const std::exception& error) {
    return refuse(std::string("ncnn failed in a run: ") + error.what());
  }
}

}  // namespace

Result<std::size_t> NcnnModel::samples_of(const std::vector<Tensor>& inputs) const {
  std::optional<std::int64_t> samples;
  for (const Tensor& tensor : inputs) {
    if (!tensor.batched) continue;
    if (tensor.dims.empty() || tensor.dims[0] < 1) {
      return refuse("input '" + printable(tensor.name, 80) + "' is batched and has no samples");
    }
    if (samples && *samples != tensor.dims[0]) {
      return refuse("the batched inputs must have equally many samples, got " +
                    std::to_string(*samples) + " and " + std::to_string(tensor.dims[0]));
    }
    samples = tensor.dims[0];
  }
  return static_cast<std::size_t>(samples.value_or(1));
}

Result<const Tensor*> NcnnModel::tensor_for(const Port& port,
                                            const std::vector<Tensor>& inputs) const {
  const Tensor* found = nullptr;
  for (const Tensor& tensor : inputs) {
    if (tensor.name != port.name) continue;
    if (found != nullptr) return refuse("input '" + port.name + "' was given twice");
    found = &tensor;
  }
  if (found != nullptr && inputs.size() == inputs_.size()) return found;
  std::vector<std::string> expected;
  std::vector<std::string> got;
  for (const Port& each : inputs_) expected.push_back(each.name);
  for (const Tensor& each : inputs) got.push_back(each.name);
  return refuse("the model takes the inputs " + list_text(expected) + "; got " +
                (got.empty() ? "none" : list_text(got)));
}

Status NcnnModel::check(const Tensor& tensor, const Port& port) const {
  const std::string what = "input '" + port.name + "': ";
  if (tensor.dtype != "float32") {
    return refuse(what + "ncnn takes float32, got " + printable(tensor.dtype, 80));
  }
  const std::size_t axes = tensor.dims.size() - (tensor.batched ? 1 : 0);
  const bool is_empty = tensor.data.empty();
  if (is_empty || axes < 1 || axes > 4) {
    return refuse(what + "ncnn takes 1 to 4 dims of at least 1, got " + dims_text(tensor.dims));
  }
  const Dims dims(tensor.dims.end() - static_cast<std::ptrdiff_t>(axes), tensor.dims.end());
  if (!port.dims.empty() && port.dims != dims) {
    return refuse(what + "the .param says dims " + dims_text(port.dims) + ", got " +
                  dims_text(dims));
  }
  return {};
}

Status NcnnModel::set_inputs(const std::vector<Tensor>& inputs) {
  samples_.clear();
  results_.clear();
  input_dims_.clear();
  Result<std::size_t> samples = samples_of(inputs);
  if (!samples) return samples.failure();
  std::vector<Mats> mats(samples.value(), Mats(inputs_.size()));
  batched_ = false;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    Result<const Tensor*> found = tensor_for(inputs_[i], inputs);
    if (!found) return found.failure();
    const Tensor& tensor = *found.value();
    if (Status status = check(tensor, inputs_[i]); !status) return status;
    batched_ = batched_ || tensor.batched;
    const Dims dims(tensor.dims.begin() + (tensor.batched ? 1 : 0), tensor.dims.end());
    input_dims_.push_back(dims);
    const std::size_t bytes = tensor.batched ? tensor.data.size() / samples.value() : 0;
    for (std::size_t s = 0; s < samples.value(); ++s) {
      Result<ncnn::Mat> mat = to_mat(dims, tensor.data.data() + s * bytes);
      if (!mat) return mat.failure();
      mats[s][i] = std::move(mat).value();
    }
  }
  samples_ = std::move(mats);
  results_.assign(samples_.size(), Mats(outputs_.size()));
  return {};
}

void NcnnModel::stay_awake(bool awake) { ForkJoin::instance().stay_awake(awake); }

Result<std::int64_t> NcnnModel::run() {
  return guarded([this]() -> Result<std::int64_t> {
    std::int64_t sum = 0;
    const bool checked = checked_.count(input_dims_) > 0;
    for (std::size_t s = 0; s < samples_.size(); ++s) {
      if (checked || s > 0) {
        Result<std::int64_t> ns = run_whole(samples_[s], results_[s]);
        if (!ns) return ns.failure();
        sum += ns.value();
        continue;
      }
      std::vector<LayerRun> runs;
      if (Status status = run_by_layer(samples_[s], results_[s], runs); !status) {
        return status.failure();
      }
      for (const LayerRun& layer : runs) sum += layer.ns;
      checked_.insert(input_dims_);
    }
    return sum;
  });
}

Result<std::vector<LayerRun>> NcnnModel::run_layers() {
  return guarded([this]() -> Result<std::vector<LayerRun>> {
    std::vector<LayerRun> sum;
    for (std::size_t s = 0; s < samples_.size(); ++s) {
      std::vector<LayerRun> runs;
      if (Status status = run_by_layer(samples_[s], results_[s], runs); !status) {
        return status.failure();
      }
      if (s == 0) {
        sum = std::move(runs);
      } else {
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i].ns += runs[i].ns;
      }
    }
    checked_.insert(input_dims_);
    return sum;
  });
}

Result<std::vector<Tensor>> NcnnModel::outputs() const {
  std::vector<Tensor> tensors(outputs_.size());
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Tensor& tensor = tensors[i];
    tensor.name = outputs_[i].name;
    for (const Mats& results : results_) {
      if (Status status = append_result(results[i], outputs_[i].name, tensor); !status) {
        return status.failure();
      }
    }
    if (!batched_) continue;
    tensor.batched = true;
    tensor.dims.insert(tensor.dims.begin(), static_cast<std::int64_t>(results_.size()));
  }
  return tensors;
}

Status NcnnModel::begin(ncnn::Extractor& extractor, const Mats& inputs) const {
  // ncnn's own pools would make it copy every blob that it hands out.
  extractor.set_blob_allocator(&blob_pool_);
  extractor.set_workspace_allocator(&workspace_pool_);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const int code = extractor.input(inputs_[i].blob, inputs[i]);
    if (code != 0) return ncnn_failed("input '" + inputs_[i].name + "'", code);
  }
  return {};
}

Result<std::int64_t> NcnnModel::run_whole(const Mats& inputs, Mats& results) const {
  const Clock::time_point start = Clock::now();
  {
    ncnn::Extractor extractor = net_.create_extractor();
    if (Status status = begin(extractor, inputs); !status) return status.failure();
    for (const std::size_t i : output_order_) {
      const int code = extractor.extract(outputs_[i].blob, results[i]);
      if (code != 0) return ncnn_failed("output '" + outputs_[i].name + "'", code);
    }
  }
  return nanoseconds_since(start);
}

Status NcnnModel::run_by_layer(const Mats& inputs, Mats& results,
                               std::vector<LayerRun>& runs) const {
  ncnn::Extractor extractor = net_.create_extractor();
  if (Status status = begin(extractor, inputs); !status) return status;
  std::vector<Dims> blob_dims(net_.blobs().size());
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    blob_dims[static_cast<std::size_t>(inputs_[i].blob)] = input_dims_[i];
    // An input that is an output too: the layers will use it up.
    if (Status status = take_outputs(extractor, {inputs_[i].blob}, results); !status) return status;
  }
  for (std::size_t i = 0; i < needed_.size(); ++i) {
    const ncnn::Layer& layer = *net_.layers()[i];
    if (!needed_[i] || layer.type == "Input" || layer.tops.empty()) continue;
    LayerRun run;
    if (Status status = run_layer(extractor, i, blob_dims, results, run); !status) return status;
    runs.push_back(std::move(run));
  }
  return {};
}

Status NcnnModel::run_layer(ncnn::Extractor& extractor, std::size_t index,
                            std::vector<Dims>& blob_dims, Mats& results, LayerRun& run) const {
  const ncnn::Layer& layer = *net_.layers()[index];
  if (!layer.bottoms.empty()) {
    const Dims& dims = blob_dims[static_cast<std::size_t>(layer.bottoms[0])];
    if (const auto reason = why_unfit(params_.layers[index], dims)) {
      return refuse(layer_text(layer) + ": " + *reason + "; check the dims of the inputs");
    }
  }
  run.index = static_cast<std::uint32_t>(index);
  run.name = printable(layer.name, 255);
  run.type = printable(layer.type, 255);
  run.computes = std::find(kMovers.begin(), kMovers.end(), layer.type) == kMovers.end();

  for (std::size_t t = 0; t < layer.tops.size(); ++t) {
    const int blob = layer.tops[t];
    ncnn::Mat mat;
    // The first one makes ncnn run the layer; type 1 leaves the blob as it ran.
    const Clock::time_point start = Clock::now();
    const int code = extractor.extract(blob, mat, 1);
    if (t == 0) run.ns = nanoseconds_since(start);
    if (code != 0) return ncnn_failed(layer_text(layer), code);
    blob_dims[static_cast<std::size_t>(blob)] = dims_of(mat);
    if (t > 0 || mat.empty()) continue;
    run.dims = dims_of(mat);
    run.element_bits = static_cast<std::uint32_t>(mat.elembits());
    run.packing = static_cast<std::uint32_t>(mat.elempack);
    run.precision = precision_of(layer, mat.elembits());
  }
  // What the model gives is unpacked and widened, which the whole run's time holds too.
  const Clock::time_point start = Clock::now();
  Status status = take_outputs(extractor, layer.tops, results);
  run.ns += nanoseconds_since(start);
  return status;
}

Status NcnnModel::take_outputs(ncnn::Extractor& extractor, const std::vector<int>& blobs,
                               Mats& results) const {
  for (const std::size_t i : output_order_) {
    const int blob = outputs_[i].blob;
    if (std::find(blobs.begin(), blobs.end(), blob) == blobs.end()) continue;
    const int code = extractor.extract(blob, results[i]);
    if (code != 0) return ncnn_failed("output '" + outputs_[i].name + "'", code);
  }
  return {};
}

std::string NcnnModel::precision_of(const ncnn::Layer& layer, int element_bits) const {
  // A layer with int8 weights computes in int8 also where it hands on floats (see ncnn's
  // Convolution::load_model, which sets this flag from the weights' scales).
  if (layer.support_int8_storage && net_.opt.use_int8_inference) return "int8";
  if (element_bits == 8) return "int8";
  if (element_bits == 16) return sixteen_bits_are_bf16(net_.opt) ? "bf16" : "fp16";
  return "fp32";
}

}  // namespace dx
