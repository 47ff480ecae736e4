// Between dense float32 tensors (slowest axis first) and ncnn's mats (channels padded, packed).
#pragma once

#include <mat.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"

namespace dx {

// REQUIRES: 1 to 4 dims, each at least 1 and at most 2^31 - 1, and `data` holds all their floats.
// Fails where there is no memory.
Result<ncnn::Mat> to_mat(const std::vector<std::int64_t>& dims, const char* data);

// Of one sample, in scalars, whatever the mat's packing.
std::vector<std::int64_t> dims_of(const ncnn::Mat& mat);

// Appends the mat's floats densely. REQUIRES: 32-bit scalars, packing 1.
void append_floats(const ncnn::Mat& mat, std::string& data);

}  // namespace dx
