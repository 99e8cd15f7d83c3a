#include "CKernels.h"
#include "CMap.h"
#include "coefficients.h"
#include "reference.h"
#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define VW 8
#define VU 2
#define MR 6
#define NV 2
#define FN(name) pk_##name##_avx2
#define FIRST(n) _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
#define LOAD_PART(p, n) ((vf)_mm256_maskload_ps(p, FIRST(n)))
#define STORE_PART(p, x, n) _mm256_maskstore_ps(p, FIRST(n), (__m256)(x))
#include "vector.h"
#pragma clang attribute pop
#endif
