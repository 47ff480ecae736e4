#include "common/block_cache.h"

#include <cstdint>

namespace dx {

BlockCache::Kept BlockCache::remove(std::size_t index) {
  const Kept found = kept_[index];
  --count_;
  held_bytes_ -= found.size;
  for (std::size_t i = index; i < count_; ++i) kept_[i] = kept_[i + 1];
  return found;
}

void* BlockCache::take(std::size_t size, std::size_t alignment) {
  std::size_t best = kSlots;
  for (std::size_t i = 0; i < count_; ++i) {
    const bool fits = kept_[i].size >= size && kept_[i].size - size <= size / 2 &&
                      reinterpret_cast<std::uintptr_t>(kept_[i].block) % alignment == 0;
    if (fits && (best == kSlots || kept_[i].size < kept_[best].size)) best = i;
  }
  return best == kSlots ? nullptr : remove(best).block;
}

void* BlockCache::keep(void* block, std::size_t size) {
  if (block != nullptr) {
    if (!takes(size)) return block;
    if (count_ == kSlots) {
      const Kept oldest = remove(0);
      kept_[count_++] = {block, size};
      held_bytes_ += size;
      return oldest.block;
    }
    kept_[count_++] = {block, size};
    held_bytes_ += size;
  }
  return held_bytes_ > kCapacityBytes ? remove(0).block : nullptr;
}

}  // namespace dx
