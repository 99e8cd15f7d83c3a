#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define VW 8
#define MR 6
#define NV 2
#define FN(name) pk_##name##_avx2
#include "vector.h"
#pragma clang attribute pop
#endif
