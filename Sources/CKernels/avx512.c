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
#include "vector.h"
#pragma clang attribute pop
#endif
