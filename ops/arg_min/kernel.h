// Where the smallest value along an axis stands.
#pragma once

#include "operators/arg_extreme.h"

namespace dx::op::arg_min {

using Kernel = ArgExtreme<false>;

}  // namespace dx::op::arg_min
