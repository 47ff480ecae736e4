// What the libraries that stand in for CUDA's and TensorRT's share.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "words.h"

// What is sent into a stream lies there until somebody waits for the stream, and is then done in
// the caller's thread.
struct CUgraph_st {
  std::vector<std::function<void()>> work;
};
struct CUstream_st {
  std::vector<std::function<void()>> sent;
  std::optional<CUgraph_st> recording;
};
