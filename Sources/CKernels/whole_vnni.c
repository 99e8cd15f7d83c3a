#include "CKernels.h"
#include "reference.h"
#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))), apply_to = function)
#define VW 16
#define MR 12
#define FN(name) pk_##name##_vnni
#define GROUP 4
#define BYTES 4
/* vpdpbusd multiplies unsigned by signed: the right side is packed with 128 added, and 128 times the left row's sum is taken off beforehand. It wraps and
   does not saturate. */
#define UNSIGNED_RIGHT 1
typedef __m512i wv;
typedef int8_t held;
static inline int four(const held *p) {
    int x;
    __builtin_memcpy(&x, p, 4);
    return x;
}
#define LOAD_LINE(p) _mm512_loadu_si512(p)
#define SPREAD(p) _mm512_set1_epi32(four(p))
#define DOT(c, w, x) _mm512_dpbusd_epi32(c, w, x)
#define ADD(a, b) _mm512_add_epi32(a, b)
#define LOAD(p) _mm512_loadu_si512(p)
#define STORE(p, x) _mm512_storeu_si512(p, x)
#define PASS(p, x) _mm512_stream_si512((__m512i *)(void *)(p), x)
#define SETTLE() _mm_sfence()
#define FILL(i) _mm512_set1_epi32(i)
/* A term of each lane, without the 128. */
#define TERM(w, t) _mm512_sub_epi32(_mm512_and_si512(_mm512_srl_epi32(w, _mm_cvtsi32_si128(8 * (t))), _mm512_set1_epi32(255)), _mm512_set1_epi32(128))
#include "whole_contract.h"
#pragma clang attribute pop
#endif
