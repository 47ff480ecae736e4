#include "tests/worker/test_model.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <random>

namespace dx::test {

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "dx-worker-test-XXXXXX").string();
  REQUIRE(mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::write(const std::string& name, const std::string& content) const {
  const std::string path = path_ + "/" + name;
  std::ofstream file(path, std::ios::binary);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  REQUIRE(file);
  return path;
}

std::string param_text(int blobs, const std::vector<std::string>& layers) {
  std::string text =
      "7767517\n" + std::to_string(layers.size()) + " " + std::to_string(blobs) + "\n";
  for (const std::string& layer : layers) text += layer + "\n";
  return text;
}

std::string plain_floats(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::string tagged_floats(const std::vector<float>& values) {
  return std::string(4, '\0') + plain_floats(values);
}

std::string tagged_codes(const std::vector<std::int8_t>& codes) {
  std::string bytes("\x38\x4b\x0d\x00", 4);
  for (const std::int8_t code : codes) bytes.push_back(static_cast<char>(code));
  while (bytes.size() % 4 != 0) bytes.push_back('\0');
  return bytes;
}

Files box_filter() {
  return {param_text(2, {"Input in0 0 1 in0 0=4 1=4 2=1",
                         "Convolution box 1 1 in0 out0 0=1 1=3 4=1 5=1 6=9"}),
          tagged_floats(std::vector<float>(9, 1.0F)) + plain_floats({0.5F})};
}

Files affine() {
  return {param_text(2, {"Input in0 0 1 in0", "InnerProduct affine 1 1 in0 out0 0=2 1=1 2=6"}),
          tagged_floats({1, 2, 3, 4, 5, 6}) + plain_floats({10, 20})};
}

Files small_net() {
  Files files;
  files.param =
      param_text(9, {"Input in0 0 1 in0", "Convolution conv 1 1 in0 c 0=16 1=3 4=1 5=1 6=1152",
                     "Split split 1 2 c c_0 c_1", "ReLU relu 1 1 c_0 r",
                     "ConvolutionDepthWise deep 1 1 c_1 d 0=16 1=3 4=1 5=1 6=144 7=16",
                     "Concat cat 2 1 r d rd 0=0", "Pooling gap 1 1 rd g 0=1 4=1",
                     "InnerProduct fc 1 1 g out0 0=10 1=1 2=320"});
  files.bin = tagged_floats(noise_values(1152, 1)) + plain_floats(noise_values(16, 2)) +
              tagged_floats(noise_values(144, 3)) + plain_floats(noise_values(16, 4)) +
              tagged_floats(noise_values(320, 5)) + plain_floats(noise_values(10, 6));
  return files;
}

Load load_of(const TemporaryFolder& folder, const Files& files, const RunOptions& options,
             const std::vector<std::string>& outputs) {
  return {{{"param", folder.write("model.param", files.param)},
           {"bin", folder.write("model.bin", files.bin)}},
          options,
          outputs};
}

Tensor tensor_of(const std::string& name, const std::vector<std::int64_t>& dims,
                 const std::vector<float>& values) {
  return {name, "float32", dims, plain_floats(values), false};
}

Tensor noise(const std::string& name, const std::vector<std::int64_t>& dims, std::uint32_t seed) {
  const std::int64_t count =
      std::accumulate(dims.begin(), dims.end(), std::int64_t{1}, std::multiplies<>());
  return tensor_of(name, dims, noise_values(static_cast<std::size_t>(count), seed));
}

std::vector<float> floats_of(const Tensor& tensor) {
  std::vector<float> values(tensor.data.size() / sizeof(float));
  std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
  return values;
}

std::vector<float> noise_values(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    value = static_cast<float>(random() >> 8) / 8388608.0F - 1.0F;  // 24 bits: exact in a float
  }
  return values;
}

}  // namespace dx::test
