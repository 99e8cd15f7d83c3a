#include "CDigest.h"

#include <string.h>

// The fractional parts of the first eight primes' square roots, as SHA-512's.
static const uint64_t initial[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

static inline uint64_t little(uint64_t word) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(word);
#else
    return word;
#endif
}

#define LANES 4
#define NAME portable
#define TARGET
#include "lanes.h"

#if defined(__x86_64__)
#define LANES 4
#define NAME avx2
#define TARGET __attribute__((target("avx2")))
#include "lanes.h"

#define LANES 8
#define NAME avx512
#define TARGET __attribute__((target("avx512f,avx512vl")))
#include "lanes.h"
#endif

void plasma_digest_many_portable(
    const uint64_t personal[2], const uint8_t *bytes, const size_t *ends, size_t length, size_t count, uint8_t *out) {
    portable_many(personal, bytes, ends, length, count, out);
}

void plasma_digest_many(
    const uint64_t personal[2], const uint8_t *bytes, const size_t *ends, size_t length, size_t count, uint8_t *out) {
#if defined(__x86_64__)
    // Fewer than five fit into the half as wide registers.
    if (count > 4 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) {
        return avx512_many(personal, bytes, ends, length, count, out);
    }
    if (__builtin_cpu_supports("avx2")) return avx2_many(personal, bytes, ends, length, count, out);
#endif
    portable_many(personal, bytes, ends, length, count, out);
}

size_t plasma_digest_lanes(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) return 8;
#endif
    return 4;
}
