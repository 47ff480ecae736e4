// The run options of the contract, by name, as ncnn's.
#pragma once

#include <option.h>

#include "common/messages.h"
#include "common/result.h"

namespace dx {

// Whether this build and this machine can compute with Vulkan.
bool has_vulkan();

// Sets the options and binds this thread and its team, also those who join it later, to the chosen
// cores. What this build or board cannot do fails with kOptionRefused.
Status apply_options(const RunOptions& request, ncnn::Option& option);

}  // namespace dx
