// Kernels hold whole numbers and truth values as floats: how they come from other types and go
// back.
#pragma once

#include "operators/device.h"

namespace dx::op::whole_numbers {

struct Floats {
  const float* from;
  void* to;
};

struct Others {
  const void* from;
  float* to;
};

template <class T>
DX_DEVICE inline void give(const Floats& p, int index) {
  static_cast<T*>(p.to)[index] = static_cast<T>(p.from[index]);
}

template <class T>
DX_DEVICE inline void take(const Others& p, int index) {
  p.to[index] = static_cast<float>(static_cast<const T*>(p.from)[index]);
}

DX_KERNEL(to_int32, Floats) { give<int>(p, index); }
DX_KERNEL(to_int64, Floats) { give<long long>(p, index); }
DX_KERNEL(to_bool, Floats) { give<bool>(p, index); }
DX_KERNEL(of_int32, Others) { take<int>(p, index); }
DX_KERNEL(of_int64, Others) { take<long long>(p, index); }
DX_KERNEL(of_bool, Others) { take<bool>(p, index); }

}  // namespace dx::op::whole_numbers
