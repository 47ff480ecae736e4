// What tests of TensorRT's worker share.
#pragma once

#include <string>

#include "tests/worker/behaviour.h"

namespace dx::test {

// The model with an entry in its metadata, as the converter writes them.
inline std::string with_entry(const std::string& model, const std::string& key,
                              const std::string& value) {
  const auto field = [](int number, const std::string& content) {
    return std::string(1, static_cast<char>(number << 3 | 2)) + static_cast<char>(content.size()) +
           content;
  };
  return model + field(14, field(1, key) + field(2, value));
}

}  // namespace dx::test
