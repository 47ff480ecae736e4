#include "workers/ncnn/tensor_mats.h"

#include <cstddef>
#include <cstring>

#include "common/text.h"

namespace dx {
namespace {

ncnn::Mat make(const std::vector<std::int64_t>& dims) {
  // ncnn counts from the fastest axis: w, h, (d,) c.
  const auto size = [&dims](std::size_t from_last) {
    return static_cast<int>(dims[dims.size() - 1 - from_last]);
  };
  switch (dims.size()) {
    case 1:
      return ncnn::Mat(size(0));
    case 2:
      return ncnn::Mat(size(0), size(1));
    case 3:
      return ncnn::Mat(size(0), size(1), size(2));
    default:
      return ncnn::Mat(size(0), size(1), size(2), size(3));
  }
}

// The floats of one channel lie together; a mat of fewer than three dims has one channel.
std::size_t channel_bytes(const ncnn::Mat& mat) {
  return static_cast<std::size_t>(mat.w) * static_cast<std::size_t>(mat.h) *
         static_cast<std::size_t>(mat.d) * sizeof(float);
}

}  // namespace

Result<ncnn::Mat> to_mat(const std::vector<std::int64_t>& dims, const char* data) {
  ncnn::Mat mat = make(dims);
  if (mat.empty()) {
    return Failure{
        FailureCode::kMemoryLimit, "no memory for an input of dims " + dims_text(dims), {}};
  }
  const std::size_t bytes = channel_bytes(mat);
  for (int c = 0; c < mat.c; ++c) {
    float* channel = mat.channel(c);
    std::memcpy(channel, data + static_cast<std::size_t>(c) * bytes, bytes);
  }
  return mat;
}

std::vector<std::int64_t> dims_of(const ncnn::Mat& mat) {
  std::vector<std::int64_t> dims;
  if (mat.dims >= 3) dims.push_back(mat.c);
  if (mat.dims == 4) dims.push_back(mat.d);
  if (mat.dims >= 2) dims.push_back(mat.h);
  if (mat.dims >= 1) dims.push_back(mat.w);
  if (!dims.empty()) dims[0] *= mat.elempack;
  return dims;
}

void append_floats(const ncnn::Mat& mat, std::string& data) {
  const std::size_t bytes = channel_bytes(mat);
  for (int c = 0; c < mat.c; ++c) {
    const float* channel = mat.channel(c);
    data.append(reinterpret_cast<const char*>(channel), bytes);
  }
}

}  // namespace dx
