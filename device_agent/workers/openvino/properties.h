// What is asked of a compiled model, in OpenVINO's words.
#pragma once

#include <openvino/c/ov_property.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/messages.h"

namespace dx {

using Properties = std::map<std::string, std::string>;

// `keeps_float`: the file says that layers of it must not run in half floats.
// REQUIRES: settle_options() of the request succeeded.
Properties properties_of(const RunOptions& request, bool keeps_float);

// As the C interface takes them; they point into `properties`.
std::vector<ov_property_t> listed(const Properties& properties);

}  // namespace dx
