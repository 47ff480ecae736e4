// Small real models, written by hand: every number of theirs is known.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "common/messages.h"

namespace dx::test {

// A folder of its own, removed with all it holds at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  // Writes a file and returns its path.
  std::string write(const std::string& name, const std::string& content) const;

 private:
  std::string path_;
};

// The content of an ncnn model's two files.
struct Files {
  std::string param;
  std::string bin;
};

// The two heading lines of a .param and its layers.
std::string param_text(int blobs, const std::vector<std::string>& layers);

// Weights as a layer's first block (with the tag of plain floats) and as its later ones.
std::string tagged_floats(const std::vector<float>& values);
std::string plain_floats(const std::vector<float>& values);
// int8 weights: their tag, the codes, padded to 4 bytes.
std::string tagged_codes(const std::vector<std::int8_t>& codes);

// in0 [1, 4, 4] -> 3x3 convolution, padding 1, all weights 1, bias 0.5 -> out0
Files box_filter();

// in0 [3] -> out0 [2] = {{1, 2, 3}, {4, 5, 6}} in0 + {10, 20}
Files affine();

// in0 [8, H, W] -> Convolution 3x3 to 16 -> Split -> ReLU, depthwise 3x3 -> Concat (32)
//   -> global average -> InnerProduct to 10 -> out0; seeded weights, no declared dims
Files small_net();

// The request that loads these files.
Load load_of(const TemporaryFolder& folder, const Files& files, const RunOptions& options = {},
             const std::vector<std::string>& outputs = {});

// A tensor of given values, or of seeded noise in [-1, 1).
Tensor tensor_of(const std::string& name, const std::vector<std::int64_t>& dims,
                 const std::vector<float>& values);
Tensor noise(const std::string& name, const std::vector<std::int64_t>& dims, std::uint32_t seed);

std::vector<float> floats_of(const Tensor& tensor);

// The seeded noise as numbers.
std::vector<float> noise_values(std::size_t count, std::uint32_t seed);

}  // namespace dx::test
