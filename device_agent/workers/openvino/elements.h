// Element types: numpy's names, and what OpenVINO calls them.
#pragma once

#include <openvino/c/ov_common.h>

#include <optional>
#include <string>
#include <string_view>

namespace dx {

// numpy's name; empty for types that no tensor can have here (text, 4 and 8 bit floats).
std::string element_name(ov_element_type_e type);

std::optional<ov_element_type_e> element_type(std::string_view name);

}  // namespace dx
