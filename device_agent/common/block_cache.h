// Keeps a few freed memory blocks for the next that are about as large.
#pragma once

#include <cstddef>

namespace dx {

// Not thread-safe, allocates nothing, and is usable before any constructor has run.
class BlockCache {
 public:
  // Blocks of this size are worth keeping, others are not.
  static constexpr std::size_t kMinBytes = std::size_t{32} << 10;
  static constexpr std::size_t kMaxBytes = std::size_t{4} << 20;
  // What all kept blocks may hold together.
  static constexpr std::size_t kCapacityBytes = std::size_t{8} << 20;

  static constexpr bool takes(std::size_t size) { return size >= kMinBytes && size <= kMaxBytes; }

  // A kept block of at least `size` bytes, of which it wastes at most half as many, at a multiple
  // of `alignment`; null where there is none.
  void* take(std::size_t size, std::size_t alignment);

  // Keeps a block of `size` usable bytes. Gives the block that has to go for it, which may be the
  // block itself, or null where none has to; called again with null it gives the next that has to.
  void* keep(void* block, std::size_t size);

  std::size_t held_bytes() const { return held_bytes_; }

 private:
  struct Kept {
    void* block;
    std::size_t size;
  };
  static constexpr std::size_t kSlots = 64;

  Kept remove(std::size_t index);

  // The oldest first.
  Kept kept_[kSlots] = {};
  std::size_t count_ = 0;
  std::size_t held_bytes_ = 0;
};

}  // namespace dx
