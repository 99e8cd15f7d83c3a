#include "CKernels.h"
#include "CMap.h"
#include "coefficients.h"
#include "reference.h"
#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#define VW 16
#define VU 4
#define MR 8
#define NV 3
#define FN(name) pk_##name##_avx512
#define LOAD_PART(p, n) ((vf)_mm512_maskz_loadu_ps((__mmask16)((1u << (n)) - 1), p))
#define STORE_PART(p, x, n) _mm512_mask_storeu_ps(p, (__mmask16)((1u << (n)) - 1), (__m512)(x))
#define NOT_BELOW(x, limit) _mm512_cmp_ps_mask((__m512)(x), _mm512_set1_ps(limit), _CMP_NLT_UQ)
/* Through a register: to memory directly it is many times slower on some processors. */
#define COMPRESS(p, mask, x) _mm512_storeu_ps(p, _mm512_maskz_compress_ps(mask, (__m512)(x)))
/* The next lanes of `from` to the places of the mask, the others stay as they are. */
#define EXPAND(p, mask, from) _mm512_mask_storeu_ps(p, mask, _mm512_maskz_expand_ps(mask, _mm512_loadu_ps(from)))
/* The same over a vector. */
#define MERGE(x, mask, from) ((vf)_mm512_mask_expand_ps((__m512)(x), mask, _mm512_loadu_ps(from)))
#include "vector.h"
#pragma clang attribute pop
#endif
