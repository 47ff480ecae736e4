// Rockchip's runtime as the board has it: opened by name when it is needed, so that a worker whose
// board lacks it can say so.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "workers/rknn/rknn_api.h"

namespace dx {

struct RknnApi {
  rknn::Init* init = nullptr;
  rknn::Destroy* destroy = nullptr;
  rknn::Ask* query = nullptr;
  rknn::SetInputs* set_inputs = nullptr;
  rknn::Run* run = nullptr;
  rknn::GetOutputs* get_outputs = nullptr;
  rknn::ReleaseOutputs* release_outputs = nullptr;
  rknn::CreateMemory* create_memory = nullptr;
  rknn::DestroyMemory* destroy_memory = nullptr;
  rknn::SetMemory* set_memory = nullptr;
  rknn::SetCoreMask* set_core_mask = nullptr;  // null: the library has it not
};

class Library {
 public:
  // Opens the library, once; it stays open until the process ends. Fails, in a sentence that says
  // where it was looked for, where there is none or it lacks a function.
  static Result<const Library*> open();

  const RknnApi& api() const { return api_; }
  const std::string& path() const { return path_; }
  // "2.3.2", as the library's own file tells it before a model is loaded; "" where it does not.
  const std::string& version() const { return version_; }

 private:
  friend Result<Library> open_library(const std::vector<std::string>& places);

  RknnApi api_;
  std::string path_;
  std::string version_;
};

// Where Rockchip's images keep it, after the places that the system's linker knows.
std::vector<std::string> library_places();

Result<Library> open_library(const std::vector<std::string>& places);

// "2.3.2" of a text like "librknnrt version: 2.3.2 (429f97ae6b@2025-04-09)"; "" where there is
// none.
std::string version_in(std::string_view content);

// In words, with the library's own number: "out of memory for the NPU (-4)".
std::string error_text(int code);

}  // namespace dx
