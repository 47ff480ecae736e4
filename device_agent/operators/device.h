// What a kernel for GPUs (ops/<name>/kernel.cu) is written against. The same file is compiled
// twice: for the GPU, by clang without any of CUDA's headers, and for the processor, where a loop
// over blocks and threads runs it (host_kernel.h). So it includes nothing but this and other such
// files.
//
//   namespace dx::op::my_shift {
//
//   struct Shift {
//     const float* x;
//     float* y;
//     float by;
//   };
//
//   DX_KERNEL(shift, Shift) { p.y[index] = p.x[index] + p.by; }
//
//   }  // namespace dx::op::my_shift
//
// A kernel is called for each index below a count, by any thread, in any order, and never waits
// for another. Functions that it calls are marked DX_DEVICE.
#pragma once

#if defined(__CUDA__)

#define DX_DEVICE __attribute__((device))
#define DX_GLOBAL extern "C" __attribute__((global))
#define DX_KERNEL_ENTRY(name, Arguments)

namespace dx::op {

DX_DEVICE inline int first_index() {
  return __nvvm_read_ptx_sreg_ctaid_x() * __nvvm_read_ptx_sreg_ntid_x() +
         __nvvm_read_ptx_sreg_tid_x();
}

DX_DEVICE inline int index_step() {
  return __nvvm_read_ptx_sreg_nctaid_x() * __nvvm_read_ptx_sreg_ntid_x();
}

}  // namespace dx::op

#else

#define DX_DEVICE
#define DX_GLOBAL inline
// Tests gather all kernels by it.
#ifndef DX_KERNEL_ADDED
#define DX_KERNEL_ADDED(name)
#endif
// What the processor calls it by: a type named <kernel>_kernel.
#define DX_KERNEL_ENTRY(name, Arguments)                      \
  struct name##_kernel {                                      \
    using Given = Arguments;                                  \
    static constexpr const char* kName = #name;               \
    static void run(const void* arguments, int count) {       \
      name(*static_cast<const Arguments*>(arguments), count); \
    }                                                         \
  };                                                          \
  DX_KERNEL_ADDED(name)

namespace dx::op {

// Which thread of a GPU's the caller stands for.
struct DevicePlace {
  int block = 0;
  int blocks = 1;
  int thread = 0;
  int threads = 1;
};
inline thread_local DevicePlace device_place;

inline int first_index() { return device_place.block * device_place.threads + device_place.thread; }
inline int index_step() { return device_place.blocks * device_place.threads; }

}  // namespace dx::op

#endif

#define DX_KERNEL(name, Arguments)                                                              \
  DX_DEVICE inline void name##_at(const Arguments& p, int index);                               \
  DX_GLOBAL void name(const Arguments p, int count) {                                           \
    for (int index = ::dx::op::first_index(); index < count; index += ::dx::op::index_step()) { \
      name##_at(p, index);                                                                      \
    }                                                                                           \
  }                                                                                             \
  DX_KERNEL_ENTRY(name, Arguments)                                                              \
  DX_DEVICE inline void name##_at(const Arguments& p, int index)

namespace dx::op {

// A step of this many threads beyond the largest count is still an int.
constexpr int kMostIndices = 1 << 30;

template <class T>
DX_DEVICE inline T least(T a, T b) {
  return b < a ? b : a;
}

template <class T>
DX_DEVICE inline T most(T a, T b) {
  return a < b ? b : a;
}

// Of an angle, to the last bits of a float: there is no library for that on the GPU.
struct Turn {
  float sine;
  float cosine;
};

DX_DEVICE inline Turn turn_of(float angle) {
  // Beyond that a float says nothing of an angle any more.
  constexpr double kLargest = 1e6;
  constexpr double kQuarter = 1.57079632679489661923;
  const double given = angle;
  if (!(given > -kLargest && given < kLargest)) return {0.0F, 1.0F};
  const double quarters = __builtin_floor(given / kQuarter + 0.5);
  const double x = given - quarters * kQuarter;
  const double square = x * x;
  // Taylor's series; what is left out is below 1e-9 up to an eighth of a turn.
  const double sine =
      x * (1 - square / 6 * (1 - square / 20 * (1 - square / 42 * (1 - square / 72))));
  const double cosine =
      1 -
      square / 2 * (1 - square / 12 * (1 - square / 30 * (1 - square / 56 * (1 - square / 90))));
  switch (static_cast<int>(quarters) & 3) {
    case 0:
      return {static_cast<float>(sine), static_cast<float>(cosine)};
    case 1:
      return {static_cast<float>(cosine), static_cast<float>(-sine)};
    case 2:
      return {static_cast<float>(-sine), static_cast<float>(-cosine)};
    default:
      return {static_cast<float>(-cosine), static_cast<float>(sine)};
  }
}

}  // namespace dx::op
