#include "CKernels.h"
#include "CMap.h"
#include "coefficients.h"
#include "reference.h"
#include <math.h>
#include <string.h>
#if defined(__aarch64__)
#define VW 4
#define VU 4
#define MR 6
#define NV 4
#define FN(name) pk_##name##_neon
#define LOAD_PART(p, n) ((vf){(p)[0], (n) > 1 ? (p)[1] : 0.0f, (n) > 2 ? (p)[2] : 0.0f, (n) > 3 ? (p)[3] : 0.0f})
#define STORE_PART(p, x, n)                                                                                            \
    do {                                                                                                               \
        for (int lane_ = 0; lane_ < (n); lane_++) (p)[lane_] = (x)[lane_];                                             \
    } while (0)
#include "vector.h"
#endif
