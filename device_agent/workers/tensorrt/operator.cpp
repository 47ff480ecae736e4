#include "workers/tensorrt/operator.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

#include "workers/tensorrt/operator_call.h"

namespace dx {
namespace {

using nvinfer1::PluginField;
using nvinfer1::PluginFieldType;

constexpr char kMagic[] = {'d', 'x', 'o', 'p'};
constexpr std::uint32_t kMostValues = 1U << 16;

std::mutex complaint_mutex;
std::string last_complaint;

PluginFieldType type_of(op::AttributeKind kind) {
  switch (kind) {
    case op::AttributeKind::kInteger:
    case op::AttributeKind::kIntegers:
      return PluginFieldType::kINT32;
    case op::AttributeKind::kNumber:
    case op::AttributeKind::kNumbers:
      return PluginFieldType::kFLOAT32;
    case op::AttributeKind::kChoice:
      return PluginFieldType::kCHAR;
  }
  return PluginFieldType::kUNKNOWN;
}

template <class T>
std::vector<double> numbers_of(const PluginField& field) {
  const T* const values = static_cast<const T*>(field.data);
  return std::vector<double>(values, values + std::max(field.length, 0));
}

// Nothing for a choice that is none of them.
std::optional<std::vector<double>> choice_of(const op::AttributeFact& fact,
                                             const PluginField& field) {
  std::string given(static_cast<const char*>(field.data),
                    static_cast<std::size_t>(std::max(field.length, 0)));
  given = given.c_str();  // its end may be marked as well
  const std::string values = "|" + std::string(fact.values) + "|";
  const std::size_t at = values.find("|" + given + "|");
  if (given.empty() || at == std::string::npos) return std::nullopt;
  const auto end = values.begin() + static_cast<std::ptrdiff_t>(at);
  return std::vector<double>{static_cast<double>(std::count(values.begin(), end, '|'))};
}

// Nothing where the field is of another type than the attribute.
std::optional<std::vector<double>> values_of(const op::AttributeFact& fact,
                                             const PluginField& field) {
  if (field.data == nullptr) return std::nullopt;
  const bool is_choice = fact.kind == op::AttributeKind::kChoice;
  if (is_choice != (field.type == PluginFieldType::kCHAR)) return std::nullopt;
  switch (field.type) {
    case PluginFieldType::kCHAR:
      return choice_of(fact, field);
    case PluginFieldType::kINT32:
      return numbers_of<std::int32_t>(field);
    case PluginFieldType::kFLOAT32:
      return numbers_of<float>(field);
    case PluginFieldType::kFLOAT64:
      return numbers_of<double>(field);
#if NV_TENSORRT_MAJOR >= 10
    case PluginFieldType::kINT64:
      return numbers_of<std::int64_t>(field);
#endif
    default:
      return std::nullopt;
  }
}

// For what is about attributes: values by their places in op.toml.
using Values = std::vector<std::vector<double>>;

std::string written(const Values& values) {
  std::string text(kMagic, sizeof kMagic);
  for (const std::vector<double>& each : values) {
    const auto count = static_cast<std::uint32_t>(each.size());
    text.append(reinterpret_cast<const char*>(&count), sizeof count);
    text.append(reinterpret_cast<const char*>(each.data()), count * sizeof(double));
  }
  return text;
}

std::optional<Values> read_values(const char* bytes, std::size_t size, std::size_t count) {
  const auto take = [&](void* to, std::size_t wanted) {
    if (size < wanted) return false;
    std::memcpy(to, bytes, wanted);
    bytes += wanted;
    size -= wanted;
    return true;
  };
  char magic[sizeof kMagic] = {};
  if (!take(magic, sizeof magic) || std::memcmp(magic, kMagic, sizeof magic) != 0) {
    return std::nullopt;
  }
  Values values(count);
  for (std::vector<double>& each : values) {
    std::uint32_t length = 0;
    if (!take(&length, sizeof length) || length > kMostValues) return std::nullopt;
    each.resize(length);
    if (length > 0 && !take(each.data(), length * sizeof(double))) return std::nullopt;
  }
  return size == 0 ? std::optional<Values>(std::move(values)) : std::nullopt;
}

Values all_values(const op::OperatorFacts& facts, const op::Attributes& attributes) {
  Values values;
  for (std::size_t i = 0; i < facts.attribute_count; ++i) values.push_back(attributes.values(i));
  return values;
}

}  // namespace

std::string take_complaint() {
  const std::lock_guard<std::mutex> lock(complaint_mutex);
  return std::exchange(last_complaint, "");
}

void complain(const op::OperatorFacts& facts, const std::string& complaint) {
  const std::lock_guard<std::mutex> lock(complaint_mutex);
  last_complaint = "the operator " + std::string(facts.folder) + ": " + complaint;
}

std::string because(Logger& logger) {
  const std::string complaint = take_complaint();
  const std::string errors = logger.take_errors();
  const std::string both = complaint + (complaint.empty() || errors.empty() ? "" : "; ") + errors;
  return both.empty() ? "" : ": " + both;
}

OperatorNode::OperatorNode(const TensorrtOperator& row, op::Attributes attributes)
    : row_(row),
      kernel_(row.make(attributes)),
      bytes_(written(all_values(*row.facts, attributes))) {}

std::shared_ptr<const OperatorNode> OperatorNode::read(
    const TensorrtOperator& row, const nvinfer1::PluginFieldCollection& fields) {
  const op::OperatorFacts& facts = *row.facts;
  op::Attributes attributes(facts);
  for (std::int32_t i = 0; i < fields.nbFields; ++i) {
    const PluginField& field = fields.fields[i];
    for (std::size_t place = 0; place < facts.attribute_count; ++place) {
      const op::AttributeFact& fact = facts.attributes[place];
      if (std::strcmp(fact.name, field.name) != 0) continue;
      std::optional<std::vector<double>> values = values_of(fact, field);
      if (!values) {
        complain(facts,
                 "its " + std::string(fact.name) + " is of another type" +
                     (*fact.values == '\0' ? "" : ", or none of " + std::string(fact.values)));
        return nullptr;
      }
      attributes.set(place, std::move(*values));
    }
  }
  return std::make_shared<const OperatorNode>(row, std::move(attributes));
}

std::shared_ptr<const OperatorNode> OperatorNode::read(const TensorrtOperator& row,
                                                       const void* bytes, std::size_t size) {
  const op::OperatorFacts& facts = *row.facts;
  std::optional<Values> values =
      read_values(static_cast<const char*>(bytes), size, facts.attribute_count);
  if (!values) {
    complain(facts, "what the engine keeps of it is not what this build wrote");
    return nullptr;
  }
  op::Attributes attributes(facts);
  for (std::size_t i = 0; i < values->size(); ++i) attributes.set(i, std::move((*values)[i]));
  return std::make_shared<const OperatorNode>(row, std::move(attributes));
}

nvinfer1::DataType OperatorNode::output_type(std::size_t place) const {
  return place < outputs() ? data_type_of(row_.facts->outputs[place].element)
                           : nvinfer1::DataType::kFLOAT;
}

bool OperatorNode::takes(std::size_t place, std::size_t inputs,
                         const nvinfer1::PluginTensorDesc& tensor) const {
  const bool is_input = place < inputs;
  if (!is_input) place -= inputs;
  if (place >= (is_input ? most_inputs() : outputs())) return false;
  const op::PortFact& port = is_input ? row_.facts->inputs[place] : row_.facts->outputs[place];
  return tensor.format == nvinfer1::TensorFormat::kLINEAR &&
         tensor.type == data_type_of(port.element);
}

bool OperatorNode::shapes(const nvinfer1::DimsExprs* inputs, std::size_t count,
                          nvinfer1::DimsExprs* outputs, nvinfer1::IExprBuilder& builder) const {
  if (count > most_inputs()) {
    complain(*row_.facts, "it has more inputs than its op.toml");
    return false;
  }
  OpenShapes shapes(inputs, count, outputs, builder);
  kernel_->shapes(shapes);
  return true;
}

std::size_t OperatorNode::workspace(const std::vector<nvinfer1::PluginTensorDesc>& inputs,
                                    const std::vector<nvinfer1::PluginTensorDesc>& outputs) const {
  for (const std::vector<nvinfer1::PluginTensorDesc>* const tensors : {&inputs, &outputs}) {
    for (const nvinfer1::PluginTensorDesc& tensor : *tensors) {
      const auto* const end = tensor.dims.d + std::max(tensor.dims.nbDims, 0);
      if (std::any_of(tensor.dims.d, end, [](auto size) { return size < 0; })) return 0;
    }
  }
  TensorrtCall call(row_, inputs.data(), inputs.size(), outputs.data());
  call.measure();
  // What does not fit is said when it runs.
  (void)kernel_->run(call);
  return call.workspace();
}

bool OperatorNode::enqueue(std::size_t inputs, const nvinfer1::PluginTensorDesc* input_descs,
                           const nvinfer1::PluginTensorDesc* output_descs,
                           const void* const* input_places, void* const* output_places,
                           void* workspace, cudaStream_t stream) const {
  TensorrtCall call(row_, input_descs, inputs, output_descs);
  call.take(input_places, output_places, workspace, stream);
  std::string complaint = call.complaint();
  if (complaint.empty()) {
    if (const char* const said = kernel_->run(call)) complaint = said;
  }
  if (complaint.empty()) complaint = call.finish();
  if (!complaint.empty()) complain(*row_.facts, complaint);
  return complaint.empty();
}

std::vector<PluginName> plugin_names(const TensorrtOperator& row) {
  std::vector<PluginName> names;
  for (std::size_t i = 0; i < row.facts->name_count; ++i) {
    const std::string name = row.facts->names[i].name;
    const bool known = std::any_of(names.begin(), names.end(),
                                   [&](const PluginName& each) { return each.name == name; });
    if (known) continue;
    PluginName made{row, name, {}};
    for (std::size_t place = 0; place < row.facts->attribute_count; ++place) {
      const op::AttributeFact& fact = row.facts->attributes[place];
      made.fields.emplace_back(fact.name, nullptr, type_of(fact.kind), 1);
    }
    names.push_back(std::move(made));
  }
  return names;
}

}  // namespace dx
