// A model that Rockchip's library has loaded, and memory that the NPU reads; both end by
// themselves.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "workers/rknn/library.h"
#include "workers/rknn/rknn_api.h"

namespace dx {

class RknnContext {
 public:
  // `code` is what the library answered; null where it refused. The model's bytes must outlive it.
  static std::unique_ptr<RknnContext> open(const RknnApi& api, std::string_view model,
                                           std::uint32_t flags, int& code);
  RknnContext(const RknnContext&) = delete;
  RknnContext& operator=(const RknnContext&) = delete;
  ~RknnContext();

  rknn::Context handle() const { return handle_; }

  // Fills in an answer; its size tells the library which one it is.
  template <class Answer>
  int ask(rknn::Query query, Answer& answer) const {
    return api_.query(handle_, query, &answer, sizeof answer);
  }

 private:
  RknnContext(const RknnApi& api, rknn::Context handle) : api_(api), handle_(handle) {}

  const RknnApi& api_;
  const rknn::Context handle_;
};

// Ends before its context does.
class RknnMemory {
 public:
  // Null where the library has none left. REQUIRES: `context` outlives it.
  static std::unique_ptr<RknnMemory> make(const RknnApi& api, const RknnContext& context,
                                          std::uint32_t bytes);
  RknnMemory(const RknnMemory&) = delete;
  RknnMemory& operator=(const RknnMemory&) = delete;
  ~RknnMemory();

  void* address() const { return memory_->address; }
  rknn::Memory* get() const { return memory_; }

 private:
  RknnMemory(const RknnApi& api, const RknnContext& context, rknn::Memory* memory)
      : api_(api), context_(context), memory_(memory) {}

  const RknnApi& api_;
  const RknnContext& context_;
  rknn::Memory* const memory_;
};

}  // namespace dx
