/* The vector form of every kernel, written once over clang's vector types. A file that includes this sets the target and defines VW (floats a
   vector), VU (vectors computed side by side in functions, to hide latency), MR (rows of a tile), NV (vectors of a tile's row), FN (a name with
   the variant's suffix), and LOAD_PART and STORE_PART (the first n floats, 0 < n ≤ VW; missing ones read as zero).
   Each function computes, lane by lane, the operations of reference.c in their order. */
#define NP (NV * VW)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

/* How wide vectors are passed is no matter: every function that takes one is inlined. */
#pragma clang diagnostic ignored "-Wpsabi"

#define W VW
#define S(name) name##_one
#include "vector_functions.h"
#undef W
#undef S
#define W (VU * VW)
#define S(name) name##_many
#include "vector_functions.h"
#undef W
#undef S

typedef vf_one vf;
typedef vi_one vi;

INLINE vf load(const float *p) { return load_one(p); }
INLINE void store(float *p, vf x) { store_one(p, x); }
INLINE vf load_part(const float *p, int n) { return n >= VW ? load(p) : LOAD_PART(p, n); }
INLINE void store_part(float *p, vf x, int n) {
    if (n >= VW) store(p, x);
    else STORE_PART(p, x, n);
}
INLINE vf canonical(vf x) { return canonical_one(x); }

#include "vector_rows.h"
#include "vector_contract.h"
#include "vector_convolution.h"
#include "vector_windows.h"

#define UNARY FN(unary)
#include "map.h"
