#include "common/block_cache.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <set>

namespace {

using dx::BlockCache;

constexpr std::size_t kKiB = 1024;

// Blocks are only addresses to the cache: it never looks into them.
void* block_at(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

}  // namespace

TEST_CASE("a kept block is given back for a size that fits it") {
  BlockCache cache;
  CHECK(cache.take(100 * kKiB, 16) == nullptr);
  CHECK(cache.keep(block_at(0x10000), 100 * kKiB) == nullptr);
  CHECK(cache.held_bytes() == 100 * kKiB);
  CHECK(cache.take(101 * kKiB, 16) == nullptr);  // too small
  CHECK(cache.take(60 * kKiB, 16) == nullptr);   // too much would be wasted
  CHECK(cache.take(70 * kKiB, 16) == block_at(0x10000));
  CHECK(cache.held_bytes() == 0);
  CHECK(cache.take(70 * kKiB, 16) == nullptr);
}

TEST_CASE("the smallest block that fits is taken, at its alignment") {
  BlockCache cache;
  CHECK(cache.keep(block_at(0x10010), 120 * kKiB) == nullptr);
  CHECK(cache.keep(block_at(0x50010), 100 * kKiB) == nullptr);
  CHECK(cache.keep(block_at(0x90040), 110 * kKiB) == nullptr);
  CHECK(cache.take(100 * kKiB, 64) == block_at(0x90040));
  CHECK(cache.take(100 * kKiB, 64) == nullptr);
  CHECK(cache.take(100 * kKiB, 16) == block_at(0x50010));
}

TEST_CASE("blocks that are not worth it are not kept") {
  BlockCache cache;
  CHECK(cache.keep(block_at(0x10000), BlockCache::kMinBytes - 1) == block_at(0x10000));
  CHECK(cache.keep(block_at(0x10000), BlockCache::kMaxBytes + 1) == block_at(0x10000));
  CHECK(cache.held_bytes() == 0);
}

TEST_CASE("never more is held than the capacity, and no block is lost or given twice") {
  BlockCache cache;
  std::mt19937 random(11);
  std::set<void*> held;
  std::uintptr_t next = 0x1000000;
  for (int step = 0; step < 20000; ++step) {
    const std::size_t size =
        BlockCache::kMinBytes + random() % (BlockCache::kMaxBytes - BlockCache::kMinBytes);
    if (random() % 3 == 0) {
      if (void* block = cache.take(size, 16)) REQUIRE(held.erase(block) == 1);
      continue;
    }
    void* block = block_at(next += 0x1000000);
    held.insert(block);
    for (void* gone = cache.keep(block, size); gone != nullptr; gone = cache.keep(nullptr, 0)) {
      REQUIRE(held.erase(gone) == 1);
    }
    REQUIRE(cache.held_bytes() <= BlockCache::kCapacityBytes);
  }
  // What is held can all be had again.
  for (std::size_t size = BlockCache::kMaxBytes; size >= BlockCache::kMinBytes; size -= size / 8) {
    while (void* block = cache.take(size, 1)) REQUIRE(held.erase(block) == 1);
  }
  CHECK(held.empty());
  CHECK(cache.held_bytes() == 0);
}
