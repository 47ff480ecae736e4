// SHA-256 by the Armv8 cryptographic extension (Arm ARM, SHA256H and its fellows).
#include "agent/crypto/sha256_engines.h"

#if defined(__aarch64__) && defined(__linux__)

#include <arm_neon.h>
#include <sys/auxv.h>

namespace dx {
namespace {

#if defined(__clang__)
#define DX_WITH_SHA2 __attribute__((target("sha2")))
#else
#define DX_WITH_SHA2 __attribute__((target("+crypto")))
#endif

constexpr unsigned long kHwcapSha2 = 1UL << 6;  // HWCAP_SHA2 of asm/hwcap.h

DX_WITH_SHA2 void blocks(std::uint32_t* state, const std::uint8_t* data, std::size_t count) {
  uint32x4_t abcd = vld1q_u32(state);
  uint32x4_t efgh = vld1q_u32(state + 4);
  for (; count > 0; --count, data += 64) {
    const uint32x4_t abcd_before = abcd;
    const uint32x4_t efgh_before = efgh;
    uint32x4_t w[4];
    for (int i = 0; i < 4; ++i) {
      w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data + 16 * i)));
    }
    for (int round = 0; round < 64; round += 4) {
      const int i = (round / 4) & 3;
      if (round >= 16) {
        w[i] =
            vsha256su1q_u32(vsha256su0q_u32(w[i], w[(i + 1) & 3]), w[(i + 2) & 3], w[(i + 3) & 3]);
      }
      const uint32x4_t sum = vaddq_u32(w[i], vld1q_u32(kSha256Rounds + round));
      const uint32x4_t abcd_old = abcd;
      abcd = vsha256hq_u32(abcd, efgh, sum);
      efgh = vsha256h2q_u32(efgh, abcd_old, sum);
    }
    abcd = vaddq_u32(abcd, abcd_before);
    efgh = vaddq_u32(efgh, efgh_before);
  }
  vst1q_u32(state, abcd);
  vst1q_u32(state + 4, efgh);
}

}  // namespace

Sha256Blocks arm_sha256_blocks() {
  return (getauxval(AT_HWCAP) & kHwcapSha2) != 0 ? blocks : nullptr;
}

}  // namespace dx

#else

namespace dx {

Sha256Blocks arm_sha256_blocks() { return nullptr; }

}  // namespace dx

#endif
