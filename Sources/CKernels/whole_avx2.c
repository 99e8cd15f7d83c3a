#include "CKernels.h"
#include "reference.h"
#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define VW 8
#define MR 6
#define FN(name) pk_##name##_avx2
#define GROUP 2
#define BYTES 2
#define UNSIGNED_RIGHT 0
typedef __m256i wv;
typedef int16_t held;
static inline int pair(const held *p) {
    int x;
    __builtin_memcpy(&x, p, 4);
    return x;
}
#define LOAD_LINE(p) _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define SPREAD(p) _mm256_set1_epi32(pair(p))
/* Products of 16 bits, added in pairs to 32: nothing saturates. */
#define DOT(c, w, x) _mm256_add_epi32(c, _mm256_madd_epi16(w, x))
#define ADD(a, b) _mm256_add_epi32(a, b)
#define LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define STORE(p, x) _mm256_storeu_si256((__m256i *)(void *)(p), x)
#define PASS(p, x) _mm256_stream_si256((__m256i *)(void *)(p), x)
#define SETTLE() _mm_sfence()
#define FILL(i) _mm256_set1_epi32(i)
/* A term of each lane. */
#define TERM(w, t) _mm256_srai_epi32(_mm256_sll_epi32(w, _mm_cvtsi32_si128(16 - 16 * (t))), 16)
#include "whole_contract.h"
#pragma clang attribute pop
#endif
