// What stands between a program and the malloc of a small C library (the linker's --wrap).
//
// The C libraries that we link statically give large blocks back to the kernel at once: zig's from
// 32 KiB, musl's from 128 KiB on. A tensor on its way through agent and worker then costs a page
// fault every 4 KiB, several times over; for 600 KB that was four times the processor time that
// glibc takes. These functions keep a few freed blocks for the next that are about as large. All
// else is the library's own: a block stays one of its blocks wherever it was kept meanwhile.
#include <malloc.h>
#include <pthread.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "common/block_cache.h"

extern "C" {
void* __real_malloc(std::size_t size);
void* __real_calloc(std::size_t count, std::size_t size);
int __real_posix_memalign(void** block, std::size_t alignment, std::size_t size);
void __real_free(void* block);
}

namespace {

constexpr std::size_t kPlainAlignment = alignof(std::max_align_t);

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
dx::BlockCache cache;

// A mutex of this kind cannot fail but by misuse.
void* take(std::size_t size, std::size_t alignment) {
  if (!dx::BlockCache::takes(size)) return nullptr;
  pthread_mutex_lock(&mutex);
  void* block = cache.take(size, alignment);
  pthread_mutex_unlock(&mutex);
  return block;
}

void* keep(void* block, std::size_t size) {
  pthread_mutex_lock(&mutex);
  void* unwanted = cache.keep(block, size);
  pthread_mutex_unlock(&mutex);
  return unwanted;
}

}  // namespace

extern "C" void* __wrap_malloc(std::size_t size) {
  void* block = take(size, kPlainAlignment);
  return block != nullptr ? block : __real_malloc(size);
}

extern "C" void* __wrap_calloc(std::size_t count, std::size_t size) {
  std::size_t bytes = 0;
  const bool is_countable = !__builtin_mul_overflow(count, size, &bytes);
  void* block = is_countable ? take(bytes, kPlainAlignment) : nullptr;
  return block != nullptr ? std::memset(block, 0, bytes) : __real_calloc(count, size);
}

extern "C" int __wrap_posix_memalign(void** result, std::size_t alignment, std::size_t size) {
  void* block = alignment == 0 ? nullptr : take(size, alignment);
  if (block == nullptr) return __real_posix_memalign(result, alignment, size);
  *result = block;
  return 0;
}

extern "C" void __wrap_free(void* block) {
  if (block == nullptr) return;
  const std::size_t size = malloc_usable_size(block);
  if (!dx::BlockCache::takes(size)) return __real_free(block);
  const int error = errno;  // free leaves it as it was
  for (void* unwanted = keep(block, size); unwanted != nullptr; unwanted = keep(nullptr, 0)) {
    __real_free(unwanted);
  }
  errno = error;
}
