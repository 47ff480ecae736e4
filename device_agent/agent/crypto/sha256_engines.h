// The block functions that need a processor's own instructions.
#pragma once

#include <cstdint>

#include "agent/crypto/sha256.h"

namespace dx {

// The round constants: 32 bits of the fractional parts of the cube roots of the first 64 primes.
extern const std::uint32_t kSha256Rounds[64];

// Null where this build or this processor lacks the instructions.
Sha256Blocks x86_sha256_blocks();
Sha256Blocks arm_sha256_blocks();

}  // namespace dx
