// What dx-worker-tensorrt calls of TensorRT 10, as its documentation describes it, for the
// libraries that stand in for it in tests: TensorRT's own headers are NVIDIA's and come with a
// board. Nothing that is shipped is compiled with this.
#pragma once

#include <cstddef>
#include <cstdint>

#define NV_TENSORRT_MAJOR 10
#define NV_TENSORRT_MINOR 3
#define NV_TENSORRT_PATCH 0
#define NV_TENSORRT_VERSION 100300

struct CUstream_st;

namespace nvinfer1 {

using AsciiChar = char;

enum class DataType : std::int32_t {
  kFLOAT = 0,
  kHALF = 1,
  kINT8 = 2,
  kINT32 = 3,
  kBOOL = 4,
  kUINT8 = 5,
  kFP8 = 6,
  kBF16 = 7,
  kINT64 = 8,
};

struct Dims {
  std::int32_t nbDims;
  std::int64_t d[8];
};

enum class TensorIOMode : std::int32_t { kNONE, kINPUT, kOUTPUT };
enum class LayerInformationFormat : std::int32_t { kONELINE, kJSON };

class ILogger {
 public:
  enum class Severity : std::int32_t { kINTERNAL_ERROR, kERROR, kWARNING, kINFO, kVERBOSE };
  virtual void log(Severity severity, const AsciiChar* message) noexcept = 0;
  virtual ~ILogger() = default;
};

class IProfiler {
 public:
  virtual void reportLayerTime(const char* name, float ms) noexcept = 0;
  virtual ~IProfiler() = default;
};

class IHostMemory {
 public:
  virtual ~IHostMemory() = default;
  virtual void* data() const noexcept = 0;
  virtual std::size_t size() const noexcept = 0;
};

class IExecutionContext {
 public:
  virtual ~IExecutionContext() = default;
  virtual bool setInputShape(const char* name, const Dims& dims) noexcept = 0;
  virtual Dims getTensorShape(const char* name) const noexcept = 0;
  virtual bool setTensorAddress(const char* name, void* address) noexcept = 0;
  virtual bool enqueueV3(CUstream_st* stream) noexcept = 0;
  virtual void setProfiler(IProfiler* profiler) noexcept = 0;
};

class IEngineInspector {
 public:
  virtual ~IEngineInspector() = default;
  virtual bool setExecutionContext(const IExecutionContext* context) noexcept = 0;
  virtual const char* getLayerInformation(std::int32_t layer,
                                          LayerInformationFormat format) const noexcept = 0;
};

class ICudaEngine {
 public:
  virtual ~ICudaEngine() = default;
  virtual IExecutionContext* createExecutionContext() noexcept = 0;
  virtual IEngineInspector* createEngineInspector() const noexcept = 0;
  virtual std::int32_t getNbLayers() const noexcept = 0;
  virtual std::int32_t getNbIOTensors() const noexcept = 0;
  virtual const char* getIOTensorName(std::int32_t index) const noexcept = 0;
  virtual TensorIOMode getTensorIOMode(const char* name) const noexcept = 0;
  virtual DataType getTensorDataType(const char* name) const noexcept = 0;
  virtual Dims getTensorShape(const char* name) const noexcept = 0;
  virtual bool isShapeInferenceIO(const char* name) const noexcept = 0;
  virtual std::int64_t getDeviceMemorySizeV2() const noexcept = 0;
};

class IRuntime {
 public:
  virtual ~IRuntime() = default;
  virtual void setDLACore(std::int32_t core) noexcept = 0;
  virtual ICudaEngine* deserializeCudaEngine(const void* content, std::size_t size) noexcept = 0;
};

}  // namespace nvinfer1

#include "NvInferRuntimePlugin.h"

extern "C" void* createInferRuntime_INTERNAL(void* logger, std::int32_t version) noexcept;
extern "C" std::int32_t getInferLibVersion() noexcept;
