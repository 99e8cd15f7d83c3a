#define _POSIX_C_SOURCE 199309L
/* Timed loops for kernels.py, so that no call from Python is inside what is measured. Each returns the best seconds of one turn. */
#include "CKernels.h"
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#define BEST(turns, body)                                                                                              \
    double best = 1e9;                                                                                                 \
    for (int round = 0; round < 9; round++) {                                                                          \
        double start = now();                                                                                          \
        for (int turn = 0; turn < (turns); turn++) { body; }                                                           \
        double each = (now() - start) / (turns);                                                                       \
        if (each < best) best = each;                                                                                  \
    }                                                                                                                  \
    return best;

double time_unary(pk_variant variant, pk_function function, size_t n, const float *x, float *y) {
    BEST(200, pk_unary_f32(variant, function, n, x, y))
}

double time_layer_norm(pk_variant variant, int rows, int n, const float *x, const float *gain, const float *bias, float *y) {
    BEST(20, pk_layer_norm_f32(variant, rows, n, x, (size_t)n, gain, bias, 1e-12f, y, (size_t)n))
}

double time_attention(pk_variant variant, int length, int heads, int width, const float *q, const float *k, const float *v,
                      float *out, float *scratch) {
    size_t row = (size_t)(heads * width);
    BEST(20, for (int h = 0; h < heads; h++) {
        size_t at = (size_t)(h * width);
        pk_attention_f32(variant, length, length, width, q + at, row, k + at, row, v + at, row, 0.17677669f, out + at, row, scratch);
    })
}
