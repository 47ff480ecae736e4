#include "workers/rknn/context.h"

namespace dx {

std::unique_ptr<RknnContext> RknnContext::open(const RknnApi& api, std::string_view model,
                                               std::uint32_t flags, int& code) {
  rknn::Context handle = 0;
  // The library only reads there; its declaration predates const.
  void* const content = const_cast<char*>(model.data());
  code = api.init(&handle, content, static_cast<std::uint32_t>(model.size()), flags, nullptr);
  if (code != rknn::kSuccess) return nullptr;
  return std::unique_ptr<RknnContext>(new RknnContext(api, handle));
}

RknnContext::~RknnContext() { (void)api_.destroy(handle_); }

std::unique_ptr<RknnMemory> RknnMemory::make(const RknnApi& api, const RknnContext& context,
                                             std::uint32_t bytes) {
  rknn::Memory* const memory = api.create_memory(context.handle(), bytes);
  if (memory == nullptr) return nullptr;
  return std::unique_ptr<RknnMemory>(new RknnMemory(api, context, memory));
}

RknnMemory::~RknnMemory() { (void)api_.destroy_memory(context_.handle(), memory_); }

}  // namespace dx
