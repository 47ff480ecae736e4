#include "workers/tensorrt/builder.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "common/text.h"
#include "workers/core/mapped_file.h"
#include "workers/core/onnx_file.h"
#include "workers/core/options.h"
#include "workers/tensorrt/elements.h"
#include "workers/tensorrt/logger.h"
#include "workers/tensorrt/operator.h"
#include "workers/tensorrt/profiles.h"
#include "workers/tensorrt/progress.h"
#include "workers/tensorrt/timing_cache.h"
#include "workers/tensorrt/weak_types.h"

namespace dx {
namespace {

using nvinfer1::BuilderFlag;

// In the model's metadata; the converter writes them.
constexpr const char* kProfile = "deployx.profile";
constexpr const char* kPrecisions = "deployx.precisions";
constexpr std::size_t kLongestText = 600;

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kPrepare};
}

Failure refuse_option(const std::string& message) {
  return {FailureCode::kOptionRefused, message, Phase::kPrepare};
}

bool is_for_dla(const Load& request) { return number_of(request.options, "dla_core").has_value(); }

struct Source {
  std::string model;   // the content of an ONNX file
  std::string ranges;  // of its tensors, for the accelerator's int8; "" where the file says them
  OnnxNames names;
  std::vector<std::string> inside;  // tensors inside that are outputs, too
};

// The accelerator takes no QuantizeLinear nodes: a quantized model has another file for it, and its
// ranges beside that.
Result<Source> read_source(const Load& request) {
  Source source;
  std::string path = path_of(request, "onnx");
  if (path.empty()) {
    return Failure{FailureCode::kInvalidRequest, "a model for TensorRT is a file of role 'onnx'",
                   Phase::kPrepare};
  }
  const std::string ranges = path_of(request, "ranges");
  const std::string without_nodes = path_of(request, "float");
  if (is_for_dla(request) && !ranges.empty() && !without_nodes.empty()) {
    Result<std::unique_ptr<MappedFile>> file = MappedFile::open(ranges);
    if (!file) return file.failure();
    source.ranges = std::string(file.value()->content());
    path = without_nodes;
  }
  Result<std::unique_ptr<MappedFile>> file = MappedFile::open(path);
  if (!file) return file.failure();
  Result<OnnxNames> names = read_onnx_names(file.value()->content());
  if (!names) return names.failure();
  source.names = std::move(names).value();
  source.model = std::string(file.value()->content());
  const std::vector<std::string>& own = source.names.outputs;
  for (const std::string& name : request.outputs) {
    if (std::find(own.begin(), own.end(), name) == own.end()) source.inside.push_back(name);
  }
  return source;
}

std::string told(const OnnxNames& names, const char* key) {
  const auto found = names.metadata.find(key);
  return found == names.metadata.end() ? "" : found->second;
}

class Build {
 public:
  Build(const Library& library, const Load& request, LoadListener& listener)
      : library_(library), request_(request), listener_(listener) {}

  Result<std::unique_ptr<nvinfer1::IHostMemory>> run() {
    Result<Source> source = read_source(request_);
    if (!source) return source.failure();
    if (Status status = check_precisions(source.value()); !status) return status.failure();
    if (Status status = make_network(); !status) return status.failure();
    if (Status status = parse(source.value()); !status) return status.failure();
    if (Status status = configure(source.value()); !status) return status.failure();
    if (Status status = add_profile(source.value()); !status) return status.failure();
    return build();
  }

 private:
  Failure no_memory(const std::string& what) { return refuse(what + because()); }

  // What TensorRT said of it, and what of the GPU's memory is left.
  std::string because() { return dx::because(logger_) + library_.free_memory_text(); }

  // Whether every layer computes in the types that the file says. The accelerator, and TensorRT
  // before version 10, are told which types they may choose among.
  bool is_strongly_typed() const { return NV_TENSORRT_MAJOR >= 10 && !is_for_dla(request_); }

  Status check_precisions(const Source& source) const;
  Status make_network();
  Status parse(const Source& source);
  Failure parse_failure();
  Status mark_inside(const Source& source);
  Status configure(const Source& source);
  Status choose_types(const Source& source);
  Status choose_device();
  Status add_profile(const Source& source);
  Result<std::unique_ptr<nvinfer1::IHostMemory>> build();

  const Library& library_;
  const Load& request_;
  LoadListener& listener_;
  Logger logger_;
  std::unique_ptr<nvinfer1::IBuilder> builder_;
  std::unique_ptr<nvinfer1::INetworkDefinition> network_;
  std::unique_ptr<nvonnxparser::IParser> parser_;  // it keeps the network's weights
  std::unique_ptr<KnownRanges> ranges_;
  std::unique_ptr<nvinfer1::IBuilderConfig> config_;
};

// What has no bf16 would say so of each node, or compute in fp32 without a word.
Status Build::check_precisions(const Source& source) const {
  if (told(source.names, kPrecisions).find("bf16") == std::string::npos) return {};
  constexpr int kFirstWithBf16 = 80;
  if (NV_TENSORRT_MAJOR < 9) {
    return refuse("the model computes in bf16, which TensorRT has from version 9 on, and this is " +
                  library_.version() + ": convert it with --precision fp16");
  }
  if (is_for_dla(request_) || library_.capability() < kFirstWithBf16) {
    return refuse(
        "the model computes in bf16, which GPUs have from sm_80 on and a deep learning "
        "accelerator does not, and this is " +
        (is_for_dla(request_) ? "an accelerator" : library_.gpu()) +
        ": convert it with --precision fp16");
  }
  return {};
}

Status Build::make_network() {
  void* const builder = library_.tensorrt().create_builder(&logger_, compiled_version());
  builder_.reset(static_cast<nvinfer1::IBuilder*>(builder));
  if (!builder_) return no_memory("TensorRT's builder does not start");
  using nvinfer1::NetworkDefinitionCreationFlag;
#if NV_TENSORRT_MAJOR >= 10
  constexpr auto kind = NetworkDefinitionCreationFlag::kSTRONGLY_TYPED;
  const bool has_kind = is_strongly_typed();
#else
  constexpr auto kind = NetworkDefinitionCreationFlag::kEXPLICIT_BATCH;
  const bool has_kind = true;
#endif
  network_.reset(builder_->createNetworkV2(has_kind ? 1U << static_cast<std::uint32_t>(kind) : 0U));
  if (!network_) return no_memory("TensorRT makes no network");
  void* const parser =
      library_.tensorrt().create_parser(network_.get(), &logger_, NV_ONNX_PARSER_VERSION);
  parser_.reset(static_cast<nvonnxparser::IParser*>(parser));
  if (!parser_) return no_memory("TensorRT's parser does not start");
  return {};
}

Status Build::parse(const Source& source) {
  listener_.on_progress(-1, "parsing the model");
  if (!parser_->parse(source.model.data(), source.model.size())) return parse_failure();
  return mark_inside(source);
}

Failure Build::parse_failure() {
  std::string text;
  for (int i = 0; i < parser_->getNbErrors(); ++i) {
    const nvonnxparser::IParserError& error = *parser_->getError(i);
    text += text.empty() ? "" : "; ";
#if NV_TENSORRT_MAJOR >= 10
    text +=
        "operator '" + std::string(error.nodeOperator()) + "' (node '" + error.nodeName() + "'): ";
#else
    text += "node number " + std::to_string(error.node()) + ": ";
#endif
    text += error.desc();
  }
  if (text.empty()) text = logger_.take_errors();
  const std::string complaint = take_complaint();
  if (!complaint.empty()) text += "; " + complaint;
  return refuse("TensorRT " + library_.version() +
                "'s parser refuses the model: " + printable(text, kLongestText) +
                "; give these nodes to another runtime by --partition");
}

// Tensors keep their names in the network.
Status Build::mark_inside(const Source& source) {
  std::vector<std::string> missing = source.inside;
  for (std::int32_t i = 0; !missing.empty() && i < network_->getNbLayers(); ++i) {
    nvinfer1::ILayer& layer = *network_->getLayer(i);
    for (std::int32_t j = 0; j < layer.getNbOutputs(); ++j) {
      nvinfer1::ITensor* const tensor = layer.getOutput(j);
      const auto found = tensor == nullptr
                             ? missing.end()
                             : std::find(missing.begin(), missing.end(), tensor->getName());
      if (found == missing.end()) continue;
      network_->markOutput(*tensor);
      missing.erase(found);
    }
  }
  if (missing.empty()) return {};
  return refuse("the model has no tensors " + list_text(missing));
}

Status Build::configure(const Source& source) {
  config_.reset(builder_->createBuilderConfig());
  if (!config_) return no_memory("TensorRT makes no configuration");
  const RunOptions& options = request_.options;
  if (const auto mib = number_of(options, "workspace_mib")) {
    config_->setMemoryPoolLimit(nvinfer1::MemoryPoolType::kWORKSPACE, static_cast<std::size_t>(*mib)
                                                                          << 20);
  }
  if (const auto level = number_of(options, "optimization_level")) {
#if NV_TENSORRT_MAJOR > 8 || NV_TENSORRT_MINOR >= 6
    config_->setBuilderOptimizationLevel(static_cast<std::int32_t>(*level));
#else
    return refuse_option("option optimization_level: TensorRT " + library_.version() +
                         " has no such levels, they came with 8.6");
#endif
  }
  if (switch_of(options, "sparsity").value_or(false)) {
    config_->setFlag(BuilderFlag::kSPARSE_WEIGHTS);
  }
  if (!switch_of(options, "tf32").value_or(false)) config_->clearFlag(BuilderFlag::kTF32);
  config_->setProfilingVerbosity(nvinfer1::ProfilingVerbosity::kDETAILED);
  if (Status status = choose_types(source); !status) return status;
  return choose_device();
}

Status Build::choose_types(const Source& source) {
  if (is_strongly_typed()) return {};
  // Without these it would compute what the file says in fewer bits in fp32.
  allow_precisions(*config_, told(source.names, kPrecisions));
  if (source.ranges.empty()) return {};
  Result<std::unique_ptr<KnownRanges>> ranges =
      KnownRanges::read(source.ranges, library_.tensorrt().version());
  if (!ranges) return ranges.failure();
  ranges_ = std::move(ranges).value();
  ranges_->give_to(*config_);
  return {};
}

Status Build::choose_device() {
  const auto core = number_of(request_.options, "dla_core");
  if (!core) return {};
  const std::int32_t count = builder_->getNbDLACores();
  if (*core >= count) {
    return refuse_option("option dla_core: this board has " + std::to_string(count) +
                         " cores of a deep learning accelerator, counted from 0, got " +
                         std::to_string(*core));
  }
  config_->setDefaultDeviceType(nvinfer1::DeviceType::kDLA);
  config_->setDLACore(static_cast<std::int32_t>(*core));
  if (switch_of(request_.options, "allow_fallback").value_or(true)) {
    config_->setFlag(BuilderFlag::kGPU_FALLBACK);
  }
  return {};
}

Status Build::add_profile(const Source& source) {
  Result<std::vector<InputProfile>> inputs = read_profiles(told(source.names, kProfile));
  if (!inputs) return inputs.failure();
  if (inputs.value().empty()) return {};
  using nvinfer1::OptProfileSelector;
  nvinfer1::IOptimizationProfile* const profile = builder_->createOptimizationProfile();
  if (profile == nullptr) return no_memory("TensorRT makes no optimization profile");
  for (const InputProfile& input : inputs.value()) {
    for (const auto& [sizes, dims] : {std::pair{OptProfileSelector::kMIN, &input.minimum},
                                      std::pair{OptProfileSelector::kOPT, &input.opt},
                                      std::pair{OptProfileSelector::kMAX, &input.maximum}}) {
      if (!profile->setDimensions(input.name.c_str(), sizes, to_dims(*dims))) {
        return refuse("TensorRT does not take the sizes of the input '" +
                      printable(input.name, 80) + "'" + because());
      }
    }
  }
#if NV_TENSORRT_MAJOR == 8 && NV_TENSORRT_MINOR >= 6
  // Several streams take the same profile; later versions allow that of themselves.
  config_->setPreviewFeature(nvinfer1::PreviewFeature::kPROFILE_SHARING_0806, true);
#endif
  if (config_->addOptimizationProfile(profile) < 0) {
    return refuse("TensorRT does not take the sizes of the open axes" + because());
  }
  return {};
}

Result<std::unique_ptr<nvinfer1::IHostMemory>> Build::build() {
  listener_.on_progress(-1, "building the engine");
#if DX_TENSORRT_TELLS_PROGRESS
  ProgressTeller teller(listener_);
  config_->setProgressMonitor(&teller);
#endif
  const std::unique_ptr<TimingCache> timings = TimingCache::open(
      *config_, switch_of(request_.options, "timing_cache").value_or(true)
                    ? timing_cache_path(request_.kept_folder, library_.version(), library_.gpu())
                    : "");
  std::unique_ptr<nvinfer1::IHostMemory> made(
      builder_->buildSerializedNetwork(*network_, *config_));
  if (!made) return no_memory("TensorRT " + library_.version() + " built no engine");
  if (timings) timings->keep();
  return made;
}

}  // namespace

Result<std::unique_ptr<nvinfer1::IHostMemory>> build_engine(const Library& library,
                                                            const Load& request,
                                                            LoadListener& listener) {
  return Build(library, request, listener).run();
}

}  // namespace dx
