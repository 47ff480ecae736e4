// See NvInferRuntime.h, which includes this: plugins, of the kind before version 10 and of the one
// since.
#pragma once

#include <cstddef>
#include <cstdint>

using cudaStream_t = CUstream_st*;

namespace nvinfer1 {

enum class TensorFormat : std::int32_t { kLINEAR = 0, kCHW2 = 1 };
enum class DimensionOperation : std::int32_t { kSUM, kPROD, kMAX, kMIN, kSUB, kEQUAL, kLESS };
enum class PluginCapabilityType : std::int32_t { kCORE, kBUILD, kRUNTIME };
enum class TensorRTPhase : std::int32_t { kBUILD, kRUNTIME };
enum class PluginFieldType : std::int32_t {
  kFLOAT16,
  kFLOAT32,
  kFLOAT64,
  kINT8,
  kINT16,
  kINT32,
  kCHAR,
  kDIMS,
  kUNKNOWN,
  kBF16,
  kINT64,
};

struct PluginField {
  PluginField(const AsciiChar* called = nullptr, const void* content = nullptr,
              PluginFieldType of = PluginFieldType::kUNKNOWN, std::int32_t count = 0) noexcept
      : name(called), data(content), type(of), length(count) {}

  const AsciiChar* name;
  const void* data;
  PluginFieldType type;
  std::int32_t length;
};

struct PluginFieldCollection {
  std::int32_t nbFields;
  const PluginField* fields;
};

struct PluginTensorDesc {
  Dims dims;
  DataType type;
  TensorFormat format;
  float scale;
};

struct DynamicPluginTensorDesc {
  PluginTensorDesc desc;
  Dims min;
  Dims max;
  Dims opt;
};

class IDimensionExpr {
 public:
  virtual ~IDimensionExpr() = default;
  virtual bool isConstant() const noexcept = 0;
  virtual std::int64_t getConstantValue() const noexcept = 0;
};

struct DimsExprs {
  std::int32_t nbDims;
  const IDimensionExpr* d[8];
};

class IExprBuilder {
 public:
  virtual ~IExprBuilder() = default;
  virtual const IDimensionExpr* constant(std::int64_t value) noexcept = 0;
  virtual const IDimensionExpr* operation(DimensionOperation operation, const IDimensionExpr& first,
                                          const IDimensionExpr& second) noexcept = 0;
};

class IPluginV2 {
 public:
  virtual ~IPluginV2() = default;
  virtual const AsciiChar* getPluginType() const noexcept = 0;
  virtual const AsciiChar* getPluginVersion() const noexcept = 0;
  virtual std::int32_t getNbOutputs() const noexcept = 0;
  virtual std::int32_t initialize() noexcept = 0;
  virtual void terminate() noexcept = 0;
  virtual std::size_t getSerializationSize() const noexcept = 0;
  virtual void serialize(void* buffer) const noexcept = 0;
  virtual void destroy() noexcept = 0;
  virtual IPluginV2* clone() const noexcept = 0;
  virtual void setPluginNamespace(const AsciiChar* name) noexcept = 0;
  virtual const AsciiChar* getPluginNamespace() const noexcept = 0;
};

class IPluginV2DynamicExt : public IPluginV2 {
 public:
  IPluginV2DynamicExt* clone() const noexcept override = 0;
  virtual DataType getOutputDataType(std::int32_t index, const DataType* inputs,
                                     std::int32_t count) const noexcept = 0;
  virtual DimsExprs getOutputDimensions(std::int32_t index, const DimsExprs* inputs,
                                        std::int32_t count, IExprBuilder& builder) noexcept = 0;
  virtual bool supportsFormatCombination(std::int32_t position, const PluginTensorDesc* tensors,
                                         std::int32_t inputs, std::int32_t outputs) noexcept = 0;
  virtual void configurePlugin(const DynamicPluginTensorDesc* inputs, std::int32_t count,
                               const DynamicPluginTensorDesc* outputs,
                               std::int32_t made) noexcept = 0;
  virtual std::size_t getWorkspaceSize(const PluginTensorDesc* inputs, std::int32_t count,
                                       const PluginTensorDesc* outputs,
                                       std::int32_t made) const noexcept = 0;
  virtual std::int32_t enqueue(const PluginTensorDesc* input_descs,
                               const PluginTensorDesc* output_descs, const void* const* inputs,
                               void* const* outputs, void* workspace,
                               cudaStream_t stream) noexcept = 0;
};

class IPluginCreatorInterface {
 public:
  virtual ~IPluginCreatorInterface() = default;
};

class IPluginCreator : public IPluginCreatorInterface {
 public:
  virtual const AsciiChar* getPluginName() const noexcept = 0;
  virtual const AsciiChar* getPluginVersion() const noexcept = 0;
  virtual const PluginFieldCollection* getFieldNames() noexcept = 0;
  virtual IPluginV2* createPlugin(const AsciiChar* name,
                                  const PluginFieldCollection* fields) noexcept = 0;
  virtual IPluginV2* deserializePlugin(const AsciiChar* name, const void* bytes,
                                       std::size_t size) noexcept = 0;
  virtual void setPluginNamespace(const AsciiChar* name) noexcept = 0;
  virtual const AsciiChar* getPluginNamespace() const noexcept = 0;
};

class IPluginCapability {
 public:
  virtual ~IPluginCapability() = default;
};

class IPluginV3 {
 public:
  virtual ~IPluginV3() = default;
  virtual IPluginCapability* getCapabilityInterface(PluginCapabilityType type) noexcept = 0;
  virtual IPluginV3* clone() noexcept = 0;
};

class IPluginV3OneCore : public IPluginCapability {
 public:
  virtual const AsciiChar* getPluginName() const noexcept = 0;
  virtual const AsciiChar* getPluginVersion() const noexcept = 0;
  virtual const AsciiChar* getPluginNamespace() const noexcept = 0;
};

class IPluginV3OneBuild : public IPluginCapability {
 public:
  virtual std::int32_t configurePlugin(const DynamicPluginTensorDesc* inputs, std::int32_t count,
                                       const DynamicPluginTensorDesc* outputs,
                                       std::int32_t made) noexcept = 0;
  virtual std::int32_t getOutputDataTypes(DataType* types, std::int32_t made,
                                          const DataType* inputs,
                                          std::int32_t count) const noexcept = 0;
  virtual std::int32_t getOutputShapes(const DimsExprs* inputs, std::int32_t count,
                                       const DimsExprs* shape_inputs, std::int32_t shape_count,
                                       DimsExprs* outputs, std::int32_t made,
                                       IExprBuilder& builder) noexcept = 0;
  virtual bool supportsFormatCombination(std::int32_t position,
                                         const DynamicPluginTensorDesc* tensors,
                                         std::int32_t inputs, std::int32_t outputs) noexcept = 0;
  virtual std::int32_t getNbOutputs() const noexcept = 0;
  virtual std::size_t getWorkspaceSize(const DynamicPluginTensorDesc* inputs, std::int32_t count,
                                       const DynamicPluginTensorDesc* outputs,
                                       std::int32_t made) const noexcept = 0;
};

class IPluginResourceContext;

class IPluginV3OneRuntime : public IPluginCapability {
 public:
  virtual std::int32_t onShapeChange(const PluginTensorDesc* inputs, std::int32_t count,
                                     const PluginTensorDesc* outputs,
                                     std::int32_t made) noexcept = 0;
  virtual std::int32_t enqueue(const PluginTensorDesc* input_descs,
                               const PluginTensorDesc* output_descs, const void* const* inputs,
                               void* const* outputs, void* workspace,
                               cudaStream_t stream) noexcept = 0;
  virtual IPluginV3* attachToContext(IPluginResourceContext* context) noexcept = 0;
  virtual const PluginFieldCollection* getFieldsToSerialize() noexcept = 0;
};

class IPluginCreatorV3One : public IPluginCreatorInterface {
 public:
  virtual IPluginV3* createPlugin(const AsciiChar* name, const PluginFieldCollection* fields,
                                  TensorRTPhase phase) noexcept = 0;
  virtual const PluginFieldCollection* getFieldNames() noexcept = 0;
  virtual const AsciiChar* getPluginName() const noexcept = 0;
  virtual const AsciiChar* getPluginVersion() const noexcept = 0;
  virtual const AsciiChar* getPluginNamespace() const noexcept = 0;
};

class IPluginRegistry {
 public:
  virtual ~IPluginRegistry() = default;
  virtual bool registerCreator(IPluginCreatorInterface& creator,
                               const AsciiChar* space) noexcept = 0;
  virtual bool deregisterCreator(const IPluginCreatorInterface& creator) noexcept = 0;
  virtual IPluginCreatorInterface* getCreator(const AsciiChar* name, const AsciiChar* version,
                                              const AsciiChar* space) noexcept = 0;
};

}  // namespace nvinfer1

extern "C" nvinfer1::IPluginRegistry* getPluginRegistry() noexcept;
