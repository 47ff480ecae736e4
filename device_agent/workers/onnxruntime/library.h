// ONNX Runtime's shared library: loaded by its path, spoken to by its C interface.
#pragma once

#include <onnxruntime_c_api.h>

#include <memory>
#include <string>

#include "common/result.h"

namespace dx {

// The version that this worker was built for.
std::string pinned_version();

// The name of the library's file, as it travels with the worker.
std::string library_name();

// The library's functions. Every object of it is returned by one of them.
class Library {
 public:
  // Loads the library and compares its version. It stays loaded until the process ends.
  static Result<const Library*> open(const std::string& path);

  const OrtApi& api() const { return *api_; }
  OrtEnv* environment() const { return environment_; }
  OrtAllocator* allocator() const { return allocator_; }
  const OrtMemoryInfo* memory() const { return memory_; }

  // Takes the status over. `what` is the beginning of the sentence.
  Status check(OrtStatus* status, const std::string& what) const;

  // The first error that it logged since this was asked last, "" for none: of some failures it
  // says the reason nowhere else.
  static std::string take_error();

 private:
  Library() = default;
  Status start();

  const OrtApi* api_ = nullptr;
  OrtEnv* environment_ = nullptr;
  OrtAllocator* allocator_ = nullptr;
  OrtMemoryInfo* memory_ = nullptr;
};

// Owns an object of the library.
template <class T>
using Owned = std::unique_ptr<T, void(ORT_API_CALL*)(T*)>;

}  // namespace dx
