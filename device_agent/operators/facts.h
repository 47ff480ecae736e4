// What an operator's op.toml says, as its kernels read it; DxOperators.cmake writes the values.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dx::op {

enum class AttributeKind { kInteger, kNumber, kIntegers, kNumbers, kChoice };

// An attribute; what holds if a node leaves it out are the first `count` defaults.
struct AttributeFact {
  const char* name;
  AttributeKind kind;
  const char* values;  // of a choice, with | between them; its value is the place of one of them
  std::size_t count;
  const double* defaults;
};

enum class Element { kFloat, kInt64, kInt32, kBool };

struct PortFact {
  const char* name;
  Element element;
  bool optional;
};

// One of the names that models give the operator.
struct NameFact {
  const char* domain;
  const char* name;
};

struct OperatorFacts {
  const char* folder;
  std::size_t name_count;
  const NameFact* names;
  std::size_t attribute_count;
  const AttributeFact* attributes;
  std::size_t input_count;
  const PortFact* inputs;
  std::size_t output_count;
  const PortFact* outputs;
};

}  // namespace dx::op
