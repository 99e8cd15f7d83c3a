#if defined(__aarch64__)
#define VW 4
#define MR 6
#define NV 4
#define FN(name) pk_##name##_neon
#include "vector.h"
#endif
