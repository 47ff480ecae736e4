// What the libraries that stand in for CUDA's and TensorRT's share.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

// What is sent into a stream lies there until somebody waits for the stream, and is then done in
// the caller's thread.
struct CUgraph_st {
  std::vector<std::function<void()>> work;
};
struct CUstream_st {
  std::vector<std::function<void()>> sent;
  std::optional<CUgraph_st> recording;
};

namespace dx::stand_in {

// How the libraries behave is said by words in the environment, DX_STAND_IN="gpu=72 crash": the
// value of a word, "" for one without, nothing where it is not there.
std::optional<std::string> word(const std::string& name);
long number(const std::string& name, long usual);

}  // namespace dx::stand_in
