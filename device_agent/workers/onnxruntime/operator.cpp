#include "workers/onnxruntime/operator.h"

#include <algorithm>
#include <new>
#include <optional>
#include <string>

#include "workers/onnxruntime/operator_call.h"

namespace dx {
namespace {

struct CustomOp : OrtCustomOp {
  OrtOperator row;
  op::NameFact name;
};

// A node's kernel, and what it is run with.
struct Instance {
  const OrtApi& api;
  const CustomOp& op;
  OrtProduct product;
  std::unique_ptr<OrtKernel> kernel;
};

const CustomOp& own(const OrtCustomOp* op) { return *static_cast<const CustomOp*>(op); }

OrtStatus* failure_of(const OrtApi& api, const CustomOp& op, const std::string& complaint) {
  const std::string text = std::string(op.name.name) + ": " + complaint;
  return api.CreateStatus(ORT_INVALID_ARGUMENT, text.c_str());
}

// Reads a node's attributes. ONNX Runtime answers alike for one that is left out and for one of
// another type.
class Reader {
 public:
  static constexpr double kUnknown = -1.0;  // a choice that is none of them

  Reader(const OrtApi& api, const OrtKernelInfo* info) : api_(api), info_(info) {}

  // Nothing where the node has no such attribute of that type.
  std::optional<std::vector<double>> read(const op::AttributeFact& fact) const {
    switch (fact.kind) {
      case op::AttributeKind::kInteger:
        return number<std::int64_t>(api_.KernelInfoGetAttribute_int64, fact.name);
      case op::AttributeKind::kNumber: {
        const auto value = number<float>(api_.KernelInfoGetAttribute_float, fact.name);
        if (value) return value;
        return number<std::int64_t>(api_.KernelInfoGetAttribute_int64, fact.name);
      }
      case op::AttributeKind::kIntegers:
        return list<std::int64_t>(api_.KernelInfoGetAttributeArray_int64, fact.name);
      case op::AttributeKind::kNumbers:
        return list<float>(api_.KernelInfoGetAttributeArray_float, fact.name);
      case op::AttributeKind::kChoice:
        return choice(fact);
    }
    return std::nullopt;
  }

  bool has_of_any_type(const char* name) const {
    return number<std::int64_t>(api_.KernelInfoGetAttribute_int64, name) ||
           number<float>(api_.KernelInfoGetAttribute_float, name) ||
           list<std::int64_t>(api_.KernelInfoGetAttributeArray_int64, name) ||
           list<float>(api_.KernelInfoGetAttributeArray_float, name) || text(name);
  }

 private:
  bool found(OrtStatus* status) const {
    if (status == nullptr) return true;
    api_.ReleaseStatus(status);
    return false;
  }

  template <class T, class Get>
  std::optional<std::vector<double>> number(Get get, const char* name) const {
    T value = 0;
    if (!found(get(info_, name, &value))) return std::nullopt;
    return std::vector<double>{static_cast<double>(value)};
  }

  template <class T, class Get>
  std::optional<std::vector<double>> list(Get get, const char* name) const {
    std::size_t count = 0;
    // Asked without room it tells how much it wants.
    if (!found(get(info_, name, nullptr, &count))) return std::nullopt;
    std::vector<T> values(count);
    if (count > 0 && !found(get(info_, name, values.data(), &count))) return std::nullopt;
    return std::vector<double>(values.begin(), values.end());
  }

  std::optional<std::string> text(const char* name) const {
    std::size_t size = 0;
    if (!found(api_.KernelInfoGetAttribute_string(info_, name, nullptr, &size))) {
      return std::nullopt;
    }
    std::string value(size, '\0');
    if (!found(api_.KernelInfoGetAttribute_string(info_, name, value.data(), &size))) {
      return std::nullopt;
    }
    return std::string(value.c_str());
  }

  std::optional<std::vector<double>> choice(const op::AttributeFact& fact) const {
    const std::optional<std::string> given = text(fact.name);
    if (!given) return std::nullopt;
    const std::string values = "|" + std::string(fact.values) + "|";
    const std::size_t at = values.find("|" + *given + "|");
    if (at == std::string::npos) return std::vector<double>{kUnknown};
    const auto end = values.begin() + static_cast<std::ptrdiff_t>(at);
    return std::vector<double>{static_cast<double>(std::count(values.begin(), end, '|'))};
  }

  const OrtApi& api_;
  const OrtKernelInfo* info_;
};

OrtStatus* ORT_API_CALL create(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                               void** kernel) {
  const CustomOp& custom = own(op);
  try {
    op::Attributes attributes(*custom.row.facts);
    const Reader reader(*api, info);
    for (std::size_t i = 0; i < custom.row.facts->attribute_count; ++i) {
      const op::AttributeFact& fact = custom.row.facts->attributes[i];
      std::optional<std::vector<double>> values = reader.read(fact);
      if (!values && reader.has_of_any_type(fact.name)) {
        return failure_of(*api, custom, "its " + std::string(fact.name) + " is of another type");
      }
      if (!values) continue;  // the default holds
      if (fact.kind == op::AttributeKind::kChoice && values->front() == Reader::kUnknown) {
        return failure_of(*api, custom,
                          "its " + std::string(fact.name) + " is none of " + fact.values);
      }
      attributes.set(i, std::move(*values));
    }
    *kernel = new Instance{*api, custom, {*api, info}, custom.row.make(attributes)};
    return nullptr;
  } catch (const std::bad_alloc&) {
    return failure_of(*api, custom, op::kNoMemory);
  } catch (...) {  // whatever a user's kernel throws
    return failure_of(*api, custom, op::kThrew);
  }
}

OrtStatus* ORT_API_CALL compute(void* kernel, OrtKernelContext* context) {
  const auto& instance = *static_cast<const Instance*>(kernel);
  const char* complaint = nullptr;
  try {
    OrtCall call(instance.api, context, *instance.op.row.facts, instance.product);
    complaint = call.take();
    if (complaint == nullptr) complaint = instance.kernel->run(call);
    if (complaint == nullptr) complaint = call.finish();
  } catch (const std::bad_alloc&) {
    complaint = op::kNoMemory;
  } catch (...) {  // as above
    complaint = op::kThrew;
  }
  return complaint == nullptr ? nullptr : failure_of(instance.api, instance.op, complaint);
}

void ORT_API_CALL destroy(void* kernel) { delete static_cast<Instance*>(kernel); }

ONNXTensorElementDataType type_of(op::Element element) {
  switch (element) {
    case op::Element::kInt64:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    case op::Element::kInt32:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;
    case op::Element::kBool:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL;
    case op::Element::kFloat:
      break;
  }
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

OrtCustomOpInputOutputCharacteristic kind_of(const op::PortFact& port) {
  return port.optional ? INPUT_OUTPUT_OPTIONAL : INPUT_OUTPUT_REQUIRED;
}

}  // namespace

std::unique_ptr<OrtCustomOp> custom_op(const OrtOperator& row, const op::NameFact& name) {
  auto made = std::make_unique<CustomOp>();
  static_cast<OrtCustomOp&>(*made) = {};
  made->row = row;
  made->name = name;
  made->version = kOrtApiVersion;
  made->GetName = [](const OrtCustomOp* op) { return own(op).name.name; };
  made->GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };
  made->GetInputType = [](const OrtCustomOp* op, std::size_t i) {
    return type_of(own(op).row.facts->inputs[i].element);
  };
  made->GetInputTypeCount = [](const OrtCustomOp* op) { return own(op).row.facts->input_count; };
  made->GetOutputType = [](const OrtCustomOp* op, std::size_t i) {
    return type_of(own(op).row.facts->outputs[i].element);
  };
  made->GetOutputTypeCount = [](const OrtCustomOp* op) { return own(op).row.facts->output_count; };
  made->GetInputCharacteristic = [](const OrtCustomOp* op, std::size_t i) {
    return kind_of(own(op).row.facts->inputs[i]);
  };
  made->GetOutputCharacteristic = [](const OrtCustomOp* op, std::size_t i) {
    return kind_of(own(op).row.facts->outputs[i]);
  };
  made->GetInputMemoryType = [](const OrtCustomOp*, std::size_t) { return OrtMemTypeDefault; };
  made->CreateKernelV2 = create;
  made->KernelComputeV2 = compute;
  made->KernelDestroy = destroy;
  return made;
}

}  // namespace dx
