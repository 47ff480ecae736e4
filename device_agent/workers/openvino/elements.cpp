#include "workers/openvino/elements.h"

#include <array>

namespace dx {
namespace {

struct Element {
  ov_element_type_e type;
  std::string_view name;
};

constexpr std::array<Element, 13> kElements{{{BOOLEAN, "bool"},
                                             {I8, "int8"},
                                             {U8, "uint8"},
                                             {I16, "int16"},
                                             {U16, "uint16"},
                                             {I32, "int32"},
                                             {U32, "uint32"},
                                             {I64, "int64"},
                                             {U64, "uint64"},
                                             {F16, "float16"},
                                             {BF16, "bfloat16"},
                                             {F32, "float32"},
                                             {F64, "float64"}}};

}  // namespace

std::string element_name(ov_element_type_e type) {
  for (const Element& element : kElements) {
    if (element.type == type) return std::string(element.name);
  }
  return "";
}

std::optional<ov_element_type_e> element_type(std::string_view name) {
  for (const Element& element : kElements) {
    if (element.name == name) return element.type;
  }
  return std::nullopt;
}

}  // namespace dx
