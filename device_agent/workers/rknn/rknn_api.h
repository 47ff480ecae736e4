// What is called of the C interface of Rockchip's librknnrt.so (RKNPU 2), declared in our own
// words: the vendor's header is not ours to bring along. Layouts are those of versions 1.6 to 2.3,
// which differ in nothing that stands here.
#pragma once

#include <cstdint>

namespace dx::rknn {

#ifdef __arm__
using Context = std::uint32_t;
#else
using Context = std::uint64_t;
#endif

// What functions return.
constexpr int kSuccess = 0;
constexpr int kTimeout = -2;
constexpr int kDeviceUnavailable = -3;
constexpr int kNoMemory = -4;
constexpr int kModelInvalid = -6;
constexpr int kDeviceUnmatched = -10;
constexpr int kPrecompiledElsewhere = -11;
constexpr int kOtherOptimization = -12;
constexpr int kOtherPlatform = -13;

// Of init: times of each layer are kept.
constexpr std::uint32_t kCollectTimes = 0x8;

enum Query : std::int32_t {
  kCounts = 0,
  kInputAttributes = 1,
  kOutputAttributes = 2,
  kLayerTimes = 3,
  kVersions = 5,
  kMemory = 6,
};

enum ElementType : std::int32_t {
  kFloat32 = 0,
  kFloat16 = 1,
  kInt8 = 2,
  kUint8 = 3,
};

enum Quantization : std::int32_t { kNotQuantized = 0, kFixedPoint = 1, kAffine = 2 };

enum Format : std::int32_t { kNchw = 0, kNhwc = 1, kNc1hwc2 = 2, kNoFormat = 3 };

enum CoreMask : std::int32_t {
  kCoreAuto = 0,
  kCore0 = 1,
  kCore1 = 2,
  kCore2 = 4,
  kCore01 = 3,
  kCore012 = 7,
  kCoreAll = 0xffff,
};

constexpr std::uint32_t kMostDims = 16;
constexpr std::uint32_t kNameBytes = 256;

struct Counts {
  std::uint32_t inputs;
  std::uint32_t outputs;
};

struct Attributes {
  std::uint32_t index;  // set by who asks
  std::uint32_t dim_count;
  std::uint32_t dims[kMostDims];
  char name[kNameBytes];
  std::uint32_t elements;
  std::uint32_t bytes;
  Format format;
  ElementType type;
  Quantization quantization;
  std::int8_t fraction;
  std::int32_t zero_point;
  float scale;
  std::uint32_t width_stride;  // 0: the width
  std::uint32_t bytes_with_stride;
  std::uint8_t passes_through;
  std::uint32_t height_stride;
};

struct TimesText {
  char* text;  // the library's
  std::uint64_t length;
};

struct Versions {
  char library[256];
  char driver[256];
};

struct MemorySizes {
  std::uint32_t weights;
  std::uint32_t internal;
  std::uint64_t all;  // what was allocated for the NPU
  std::uint32_t sram;
  std::uint32_t free_sram;
  std::uint32_t reserved[10];
};

struct Memory {
  void* address;
  std::uint64_t physical;
  std::int32_t descriptor;
  std::int32_t offset;
  std::uint32_t bytes;
  std::uint32_t flags;
  void* internal;
};

struct Input {
  std::uint32_t index;
  void* data;
  std::uint32_t bytes;
  std::uint8_t passes_through;
  ElementType type;
  Format format;
};

struct Output {
  std::uint8_t wants_float;
  std::uint8_t is_ours;  // `data` is the caller's
  std::uint32_t index;
  void* data;
  std::uint32_t bytes;
};

extern "C" {
using Init = int(Context* context, void* model, std::uint32_t bytes, std::uint32_t flags, void*);
using Destroy = int(Context context);
using Ask = int(Context context, Query query, void* answer, std::uint32_t bytes);
using SetInputs = int(Context context, std::uint32_t count, Input* inputs);
using SetCoreMask = int(Context context, CoreMask mask);
using Run = int(Context context, void*);
using GetOutputs = int(Context context, std::uint32_t count, Output* outputs, void*);
using ReleaseOutputs = int(Context context, std::uint32_t count, Output* outputs);
using CreateMemory = Memory*(Context context, std::uint32_t bytes);
using DestroyMemory = int(Context context, Memory* memory);
using SetMemory = int(Context context, Memory* memory, Attributes* attributes);
}

}  // namespace dx::rknn
