// What tests of workers share whose runtimes a library stands in for.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/worker/loaded.h"

namespace dx::test {

// How the libraries that stand in behave while it lives; processes that start then inherit it.
class Behaviour {
 public:
  explicit Behaviour(const std::string& words) { setenv("DX_STAND_IN", words.c_str(), 1); }
  ~Behaviour() { unsetenv("DX_STAND_IN"); }
  Behaviour(const Behaviour&) = delete;
  Behaviour& operator=(const Behaviour&) = delete;
};

inline RunOptions with(const std::string& name, const std::string& value) {
  RunOptions options = fp32();
  options.named[name] = value;
  return options;
}

inline Tensor net_input(std::uint32_t seed = 1) { return noise("in0", {8, 6, 6}, seed); }

inline std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace dx::test
