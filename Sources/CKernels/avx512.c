#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#define VW 16
#define MR 8
#define NV 3
#define FN(name) pk_##name##_avx512
#include "vector.h"
#pragma clang attribute pop
#endif
