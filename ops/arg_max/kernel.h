// Where the largest value along an axis stands.
#pragma once

#include "operators/arg_extreme.h"

namespace dx::op::arg_max {

using Kernel = ArgExtreme<true>;

}  // namespace dx::op::arg_max
