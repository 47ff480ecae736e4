// Values for inputs that nobody gave.
#pragma once

#include "common/messages.h"

namespace dx {

// Floats are uniform in [-1, 1), whole numbers and truth values 0 or 1 (an index into any table);
// the same on every machine. REQUIRES: tensor_bytes() of its type and dims.
void fill_with_noise(Tensor& tensor);

}  // namespace dx
