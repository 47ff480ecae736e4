// SHA-256 by the x86 SHA extensions (Intel SDM volume 2, SHA256RNDS2 and its fellows).
#include "agent/crypto/sha256_engines.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

namespace dx {
namespace {

// Four rounds; `words` are four words of the message schedule.
__attribute__((target("sha,sse4.1"))) inline void four_rounds(__m128i& abef, __m128i& cdgh,
                                                              __m128i words, int round) {
  const __m128i constants = _mm_load_si128(reinterpret_cast<const __m128i*>(kSha256Rounds + round));
  const __m128i sum = _mm_add_epi32(words, constants);
  cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
  abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
}

// The next four words from the last sixteen.
__attribute__((target("sha,sse4.1"))) inline __m128i next_words(__m128i w0, __m128i w4, __m128i w8,
                                                                __m128i w12) {
  const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w4), _mm_alignr_epi8(w12, w8, 4));
  return _mm_sha256msg2_epu32(sum, w12);
}

__attribute__((target("sha,sse4.1"))) void blocks(std::uint32_t* state, const std::uint8_t* data,
                                                  std::size_t count) {
  const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  auto* words = reinterpret_cast<__m128i*>(state);
  // The instructions want the eight words as ABEF and CDGH.
  const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128(words), 0xb1);
  const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128(words + 1), 0x1b);
  __m128i abef = _mm_alignr_epi8(badc, hgfe, 8);
  __m128i cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
  for (; count > 0; --count, data += 64) {
    const __m128i abef_before = abef;
    const __m128i cdgh_before = cdgh;
    __m128i w[4];
    for (int i = 0; i < 4; ++i) {
      const auto* source = reinterpret_cast<const __m128i*>(data + 16 * i);
      w[i] = _mm_shuffle_epi8(_mm_loadu_si128(source), swap);
      four_rounds(abef, cdgh, w[i], 4 * i);
    }
    for (int round = 16; round < 64; round += 16) {
      for (int i = 0; i < 4; ++i) {
        w[i] = next_words(w[i], w[(i + 1) & 3], w[(i + 2) & 3], w[(i + 3) & 3]);
        four_rounds(abef, cdgh, w[i], round + 4 * i);
      }
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  const __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
  const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128(words, _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128(words + 1, _mm_alignr_epi8(dchg, feba, 8));
}

bool processor_has_sha() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return false;
  const bool sse41 = (c & (1U << 19)) != 0 && (c & (1U << 9)) != 0;  // and SSSE3
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  return sse41 && (b & (1U << 29)) != 0;
}

}  // namespace

Sha256Blocks x86_sha256_blocks() { return processor_has_sha() ? blocks : nullptr; }

}  // namespace dx

#else

namespace dx {

Sha256Blocks x86_sha256_blocks() { return nullptr; }

}  // namespace dx

#endif
