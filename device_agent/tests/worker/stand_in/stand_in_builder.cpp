// The half of the stand-in for libnvinfer that makes engines.
//   version=100300  which TensorRT it says to be
//   crash, hang, out-of-memory   what becomes of a build; crash-run and hang-run: of a run
//   steps=3         of a build, 20 ms apart
//   dla=2           cores of a deep learning accelerator, none otherwise
//   dla-lacks=,Gemm,   operators that it leaves to the GPU
#include <chrono>
#include <fstream>
#include <thread>
#include <utility>

#include "stand_in.h"
#include "stand_in_network.h"
#include "stand_in_plugins.h"
#include "workers/core/onnx_file.h"

namespace dx::stand_in {
namespace {

constexpr const char* kTimings = "stand-in timings ";

std::string timings_head() {
  return kTimings + std::to_string(number("version", NV_TENSORRT_VERSION)) + " ";
}

class Timings : public nvinfer1::ITimingCache {
 public:
  explicit Timings(std::string content) : content_(std::move(content)) {
    if (content_.empty()) content_ = timings_head();
  }
  nvinfer1::IHostMemory* serialize() const noexcept override { return new Memory(content_); }
  bool is_ours() const { return content_.rfind(timings_head(), 0) == 0; }
  void add() { content_ += "x"; }  // one a build

 private:
  std::string content_;
};

class Profile : public nvinfer1::IOptimizationProfile {
 public:
  bool setDimensions(const char* input, nvinfer1::OptProfileSelector select,
                     const nvinfer1::Dims& dims) noexcept override {
    const std::vector<std::int64_t> sizes(dims.d, dims.d + dims.nbDims);
    if (select == nvinfer1::OptProfileSelector::kMIN) range[input].first = sizes;
    if (select == nvinfer1::OptProfileSelector::kMAX) range[input].second = sizes;
    const auto& [low, high] = range[input];
    for (std::size_t i = 0; i < low.size() && i < high.size(); ++i) {
      if (low[i] > high[i]) return false;
    }
    return true;
  }
  Range range;
};

class Config : public nvinfer1::IBuilderConfig {
 public:
  void setMemoryPoolLimit(nvinfer1::MemoryPoolType, std::size_t bytes) noexcept override {
    said += " workspace=" + std::to_string(bytes);
  }
  void setBuilderOptimizationLevel(std::int32_t level) noexcept override {
    said += " level=" + std::to_string(level);
  }
  void setFlag(nvinfer1::BuilderFlag flag) noexcept override {
    said += " flag=" + std::to_string(static_cast<int>(flag));
  }
  void clearFlag(nvinfer1::BuilderFlag flag) noexcept override {
    said += " no-flag=" + std::to_string(static_cast<int>(flag));
  }
  void setProfilingVerbosity(nvinfer1::ProfilingVerbosity verbosity) noexcept override {
    said += " verbosity=" + std::to_string(static_cast<int>(verbosity));
  }
  void setDefaultDeviceType(nvinfer1::DeviceType type) noexcept override {
    is_for_dla = type == nvinfer1::DeviceType::kDLA;
    said += " device=" + std::to_string(static_cast<int>(type));
  }
  void setDLACore(std::int32_t core) noexcept override { said += " core=" + std::to_string(core); }
  void setInt8Calibrator(nvinfer1::IInt8Calibrator* one) noexcept override { calibrator = one; }
  std::int32_t addOptimizationProfile(
      const nvinfer1::IOptimizationProfile* profile) noexcept override {
    range = static_cast<const Profile*>(profile)->range;
    return 0;
  }
  void setProgressMonitor(nvinfer1::IProgressMonitor* one) noexcept override { monitor = one; }
  nvinfer1::ITimingCache* createTimingCache(const void* content,
                                            std::size_t size) const noexcept override {
    return new Timings(std::string(static_cast<const char*>(content), size));
  }
  bool setTimingCache(const nvinfer1::ITimingCache& cache, bool) noexcept override {
    const auto& given = static_cast<const Timings&>(cache);
    if (!given.is_ours()) return false;
    timings = const_cast<Timings*>(&given);
    return true;
  }
  const nvinfer1::ITimingCache* getTimingCache() const noexcept override { return timings; }

  std::string said;
  bool has_flag(nvinfer1::BuilderFlag flag) const {
    return (said + " ").find(" flag=" + std::to_string(static_cast<int>(flag)) + " ") !=
           std::string::npos;
  }

  Range range;
  bool is_for_dla = false;
  nvinfer1::IInt8Calibrator* calibrator = nullptr;
  nvinfer1::IProgressMonitor* monitor = nullptr;
  Timings* timings = nullptr;
};

class Builder : public nvinfer1::IBuilder {
 public:
  explicit Builder(nvinfer1::ILogger& logger) : logger_(logger) {}

  nvinfer1::INetworkDefinition* createNetworkV2(std::uint32_t flags) noexcept override {
    using nvinfer1::NetworkDefinitionCreationFlag;
    const auto strong = static_cast<std::uint32_t>(NetworkDefinitionCreationFlag::kSTRONGLY_TYPED);
    auto network = std::make_unique<Network>();
    network->is_strongly_typed = (flags >> strong & 1U) != 0;
    return network.release();
  }
  nvinfer1::IBuilderConfig* createBuilderConfig() noexcept override { return new Config; }
  nvinfer1::IOptimizationProfile* createOptimizationProfile() noexcept override {
    profiles_.push_back(std::make_unique<Profile>());
    return profiles_.back().get();
  }
  std::int32_t getNbDLACores() const noexcept override {
    return static_cast<std::int32_t>(number("dla", 0));
  }

  nvinfer1::IHostMemory* buildSerializedNetwork(nvinfer1::INetworkDefinition& network,
                                                nvinfer1::IBuilderConfig& given) noexcept override {
    const auto& read = static_cast<const Network&>(network);
    auto& config = static_cast<Config&>(given);
    tell_what_was_asked(config);
    if (!take_steps(config)) return nullptr;
    if (!takes_types(read, config)) return nullptr;
    Engine engine{with_outputs(read.model(), read.marked()), config.range, "gpu", read.plugins};
    if (config.is_for_dla) {
      engine.lacks = word("dla-lacks").value_or("none");
      if (!takes_fallback(engine, config)) return nullptr;
    }
    Result<std::unique_ptr<Model>> opened = open_model(engine.model, engine.plugins);
    if (!opened) return fail(opened.failure().message);
    for (const TensorInfo& input : opened.value()->info().inputs) {
      for (const std::int64_t dim : *input.dims) {
        if (dim < 0 && config.range.count(input.name) == 0) {
          return fail("the network has dynamic inputs, and no optimization profile names " +
                      input.name);
        }
      }
    }
    for (const auto& plugin : engine.plugins) {
      if (!finish(*plugin)) return fail("the plugin '" + plugin->node.name + "' is not built");
    }
    if (config.timings != nullptr) config.timings->add();
    return new Memory(serialize(engine));
  }

 private:
  nvinfer1::IHostMemory* fail(const std::string& why) {
    complain(logger_, why);
    return nullptr;
  }

  // Into the file that the word "asked" names, with the ranges that a calibrator gives.
  static void tell_what_was_asked(const Config& config) {
    const std::optional<std::string> path = word("asked");
    if (!path) return;
    std::ofstream file(*path, std::ios::app);
    file << config.said << '\n';
    std::size_t length = 0;
    const void* const ranges =
        config.calibrator == nullptr ? nullptr : config.calibrator->readCalibrationCache(length);
    if (ranges != nullptr) file << std::string(static_cast<const char*>(ranges), length);
  }

  // A file's own types and types to choose among exclude each other; ranges are for int8 alone.
  bool takes_types(const Network& network, const Config& config) {
    using nvinfer1::BuilderFlag;
    bool chooses = config.calibrator != nullptr;
    for (const BuilderFlag flag : {BuilderFlag::kFP16, BuilderFlag::kINT8, BuilderFlag::kBF16}) {
      chooses = chooses || config.has_flag(flag);
    }
    if (network.is_strongly_typed && chooses) {
      complain(logger_, "a strongly typed network takes no precisions to choose among");
      return false;
    }
    if (config.calibrator == nullptr || config.has_flag(BuilderFlag::kINT8)) return true;
    complain(logger_, "a calibrator was given, and int8 is not allowed");
    return false;
  }

  bool takes_fallback(const Engine& engine, const Config& config) {
    if (config.has_flag(nvinfer1::BuilderFlag::kGPU_FALLBACK)) return true;
    for (const EngineLayer& layer : layers_of(engine)) {
      if (layer.type == "DLA") continue;
      complain(logger_, "Layer '" + layer.name + "' (" + layer.type +
                            "): Unsupported on DLA, and GPU fallback is not enabled");
      return false;
    }
    return true;
  }

  bool take_steps(const Config& config) {
    const auto steps = static_cast<std::int32_t>(number("steps", 0));
    const bool tells = config.monitor != nullptr;
    if (tells) config.monitor->phaseStart("Building", nullptr, steps);
    for (std::int32_t i = 0; i < steps; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      if (tells) config.monitor->phaseStart("Tactics of a layer", "Building", 1);
      if (tells) config.monitor->phaseFinish("Tactics of a layer");
      if (tells && !config.monitor->stepComplete("Building", i)) return false;
    }
    if (tells) config.monitor->phaseFinish("Building");
    misbehave("");
    if (!word("out-of-memory")) return true;
    complain(logger_, "Requested size was 4294967296 bytes: out of memory");
    return false;
  }

  nvinfer1::ILogger& logger_;
  std::vector<std::unique_ptr<Profile>> profiles_;
};

}  // namespace
}  // namespace dx::stand_in

std::int32_t getInferLibVersion() noexcept {
  return static_cast<std::int32_t>(dx::stand_in::number("version", NV_TENSORRT_VERSION));
}

void* createInferBuilder_INTERNAL(void* logger, std::int32_t) noexcept {
  return static_cast<nvinfer1::IBuilder*>(
      new dx::stand_in::Builder(*static_cast<nvinfer1::ILogger*>(logger)));
}
