#include "operators/operator.h"

#include <cstring>

namespace dx::op {

std::int64_t elements(const Shape& shape) { return elements(shape, 0, shape.size()); }

std::int64_t elements(const Shape& shape, std::size_t begin, std::size_t end) {
  std::int64_t count = 1;
  for (std::size_t axis = begin; axis < end; ++axis) count *= shape[axis];
  return count;
}

std::int64_t positive_axis(std::int64_t axis, std::size_t rank) {
  const auto axes = static_cast<std::int64_t>(rank);
  if (axis < 0) axis += axes;
  return axis >= 0 && axis < axes ? axis : -1;
}

Attributes::Attributes(const OperatorFacts& facts) : facts_(facts) {
  for (std::size_t i = 0; i < facts.attribute_count; ++i) {
    const AttributeFact& fact = facts.attributes[i];
    values_.emplace_back(fact.defaults, fact.defaults + fact.count);
  }
}

std::int64_t Attributes::integer(const char* name) const {
  const std::vector<double>& found = find(name);
  return found.empty() ? 0 : static_cast<std::int64_t>(found[0]);
}

float Attributes::number(const char* name) const {
  const std::vector<double>& found = find(name);
  return found.empty() ? 0.0F : static_cast<float>(found[0]);
}

std::vector<std::int64_t> Attributes::integers(const char* name) const {
  std::vector<std::int64_t> values;
  for (const double value : find(name)) values.push_back(static_cast<std::int64_t>(value));
  return values;
}

std::vector<float> Attributes::numbers(const char* name) const {
  std::vector<float> values;
  for (const double value : find(name)) values.push_back(static_cast<float>(value));
  return values;
}

const std::vector<double>& Attributes::find(const char* name) const {
  static const std::vector<double> none;
  for (std::size_t i = 0; i < facts_.attribute_count; ++i) {
    if (std::strcmp(facts_.attributes[i].name, name) == 0) return values_[i];
  }
  return none;
}

}  // namespace dx::op
