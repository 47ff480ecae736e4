// See NvInferRuntime.h: what makes engines.
#pragma once

#include "NvInferRuntime.h"

namespace nvinfer1 {

enum class BuilderFlag : std::int32_t {
  kGPU_FALLBACK,
  kTF32,
  kSPARSE_WEIGHTS,
  kFP16,
  kINT8,
  kBF16
};
enum class DeviceType : std::int32_t { kGPU, kDLA };
enum class MemoryPoolType : std::int32_t { kWORKSPACE };
enum class NetworkDefinitionCreationFlag : std::int32_t { kEXPLICIT_BATCH, kSTRONGLY_TYPED };
enum class OptProfileSelector : std::int32_t { kMIN, kOPT, kMAX };
enum class ProfilingVerbosity : std::int32_t { kLAYER_NAMES_ONLY, kNONE, kDETAILED };

class IInt8Calibrator {
 public:
  virtual ~IInt8Calibrator() = default;
  virtual std::int32_t getBatchSize() const noexcept = 0;
  virtual bool getBatch(void* places[], const char* names[], std::int32_t count) noexcept = 0;
  virtual const void* readCalibrationCache(std::size_t& length) noexcept = 0;
  virtual void writeCalibrationCache(const void* content, std::size_t length) noexcept = 0;
};
class IInt8EntropyCalibrator2 : public IInt8Calibrator {};

class IProgressMonitor {
 public:
  virtual ~IProgressMonitor() = default;
  virtual void phaseStart(const char* name, const char* parent, std::int32_t steps) noexcept = 0;
  virtual bool stepComplete(const char* name, std::int32_t step) noexcept = 0;
  virtual void phaseFinish(const char* name) noexcept = 0;
};

class ITensor {
 public:
  virtual ~ITensor() = default;
  virtual const char* getName() const noexcept = 0;
};

class ILayer {
 public:
  virtual ~ILayer() = default;
  virtual std::int32_t getNbOutputs() const noexcept = 0;
  virtual ITensor* getOutput(std::int32_t index) const noexcept = 0;
};

class INetworkDefinition {
 public:
  virtual ~INetworkDefinition() = default;
  virtual std::int32_t getNbLayers() const noexcept = 0;
  virtual ILayer* getLayer(std::int32_t index) const noexcept = 0;
  virtual void markOutput(ITensor& tensor) noexcept = 0;
};

class IOptimizationProfile {
 public:
  virtual ~IOptimizationProfile() = default;
  virtual bool setDimensions(const char* input, OptProfileSelector select,
                             const Dims& dims) noexcept = 0;
};

class ITimingCache {
 public:
  virtual ~ITimingCache() = default;
  virtual IHostMemory* serialize() const noexcept = 0;
};

class IBuilderConfig {
 public:
  virtual ~IBuilderConfig() = default;
  virtual void setMemoryPoolLimit(MemoryPoolType pool, std::size_t bytes) noexcept = 0;
  virtual void setBuilderOptimizationLevel(std::int32_t level) noexcept = 0;
  virtual void setFlag(BuilderFlag flag) noexcept = 0;
  virtual void clearFlag(BuilderFlag flag) noexcept = 0;
  virtual void setProfilingVerbosity(ProfilingVerbosity verbosity) noexcept = 0;
  virtual void setDefaultDeviceType(DeviceType type) noexcept = 0;
  virtual void setDLACore(std::int32_t core) noexcept = 0;
  virtual void setInt8Calibrator(IInt8Calibrator* calibrator) noexcept = 0;
  virtual std::int32_t addOptimizationProfile(const IOptimizationProfile* profile) noexcept = 0;
  virtual void setProgressMonitor(IProgressMonitor* monitor) noexcept = 0;
  virtual ITimingCache* createTimingCache(const void* content, std::size_t size) const noexcept = 0;
  virtual bool setTimingCache(const ITimingCache& cache, bool ignore_mismatch) noexcept = 0;
  virtual const ITimingCache* getTimingCache() const noexcept = 0;
};

class IBuilder {
 public:
  virtual ~IBuilder() = default;
  virtual INetworkDefinition* createNetworkV2(std::uint32_t flags) noexcept = 0;
  virtual IBuilderConfig* createBuilderConfig() noexcept = 0;
  virtual IOptimizationProfile* createOptimizationProfile() noexcept = 0;
  virtual std::int32_t getNbDLACores() const noexcept = 0;
  virtual IHostMemory* buildSerializedNetwork(INetworkDefinition& network,
                                              IBuilderConfig& config) noexcept = 0;
};

}  // namespace nvinfer1

extern "C" void* createInferBuilder_INTERNAL(void* logger, std::int32_t version) noexcept;
