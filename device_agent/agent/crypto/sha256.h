// SHA-256 (FIPS 180-4), the name of all content in the store.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace dx {

// Mixes `count` blocks of 64 bytes into the eight words of `state`.
using Sha256Blocks = void (*)(std::uint32_t* state, const std::uint8_t* data, std::size_t count);

// One way to compute the blocks; all give the same result.
struct Sha256Engine {
  const char* name;  // "portable", "x86-sha" or "armv8-sha2"
  Sha256Blocks blocks;
};

// Works everywhere.
Sha256Engine portable_sha256();

// The fastest that this processor can do; found once.
Sha256Engine best_sha256();

// A running hash. Not thread-safe; one object hashes one message.
class Sha256 {
 public:
  explicit Sha256(Sha256Engine engine = best_sha256());

  void update(const void* data, std::size_t size);
  void update(std::string_view text) { update(text.data(), text.size()); }

  // The digest as 64 lower-case hexadecimal digits. Ends this object's use.
  std::string hex_digest();

 private:
  Sha256Engine engine_;
  std::array<std::uint32_t, 8> state_;
  std::array<std::uint8_t, 64> pending_{};
  std::size_t pending_size_ = 0;
  std::uint64_t total_bytes_ = 0;
};

// True for 64 lower-case hexadecimal digits: safe as a file name.
bool is_sha256(std::string_view text);

}  // namespace dx
