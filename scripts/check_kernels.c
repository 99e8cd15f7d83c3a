/* Prints one digest of every kernel's results for each variant that this machine has; check_neon.sh compares machines. No libm function and no
   random source is used, so the inputs are the same everywhere. */
#include "CKernels.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

static float number(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    uint32_t u = (uint32_t)(state >> 32);
    if (u % 97 == 0) {
        /* Any bits at all: NaN, infinities, subnormals. */
        uint32_t any = (uint32_t)(state >> 13);
        float x;
        memcpy(&x, &any, 4);
        return x;
    }
    return ((float)(u >> 8) - 8388608.0f) * 0x1p-22f;
}

static float *numbers(size_t n) {
    float *x = malloc((n ? n : 1) * sizeof(float));
    for (size_t i = 0; i < n; i++) x[i] = number();
    return x;
}

static uint64_t digest(uint64_t h, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, x + i, 4);
        h = (h ^ u) * 0x100000001b3u;
    }
    return h;
}

/* A linear layer on whole numbers. */
static uint64_t whole_numbers(pk_variant variant, uint64_t h, int m, int n, int k, const float *a, const float *scales,
                              const pk_epilogue *e, float *c) {
    int8_t *b = malloc((size_t)n * (size_t)k + 1);
    for (size_t i = 0; i < (size_t)n * (size_t)k; i++) b[i] = (int8_t)(i * 37 % 256);
    uint8_t *packed = malloc(pk_pack_size_i8(variant, n, k) + 1);
    pk_pack_i8(variant, n, k, b, (size_t)k, packed);
    /* Rows as they come; one without terms has no greatest. */
    if (k > 0) {
        int8_t *q = malloc((size_t)m * (size_t)k);
        float *scale = malloc((size_t)m * 2 * sizeof(float)), *top = scale + m;
        int32_t *place = malloc((size_t)m * sizeof(int32_t));
        void *scratch = malloc(pk_linear_i8_scratch(variant, k));
        pk_round_rows(variant, m, k, a, (size_t)k, q, (size_t)k, scale, top, place);
        h = digest(digest(h, scale, 2 * (size_t)m), (const float *)place, (size_t)m);
        pk_linear_i8(variant, m, n, k, q, (size_t)k, scale, top, place, packed, scales, e, c, (size_t)n, scratch);
        free(q), free(scale), free(place), free(scratch);
    }
    free(b), free(packed);
    return digest(h, c, (size_t)m * (size_t)n);
}

static uint64_t contractions(pk_variant variant, uint64_t h) {
    static const int depths[] = {0, 1, 5, 255, 256, 257, 600};
    static const int shapes[][2] = {{1, 1}, {2, 97}, {3, 40}, {5, 15}, {6, 16}, {8, 48}, {13, 101}};
    for (size_t d = 0; d < sizeof depths / sizeof *depths; d++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (int activation = PK_NONE; activation <= PK_SILU_ACTIVATION; activation++) {
                int m = shapes[s][0], n = shapes[s][1], k = depths[d];
                size_t count = (size_t)m * (size_t)n;
                float *a = numbers((size_t)m * (size_t)k), *b = numbers((size_t)n * (size_t)k), *bias = numbers((size_t)n);
                float *residual = numbers(count), *c = numbers(count);
                float *packed = malloc(pk_pack_size(variant, n, k) * sizeof(float));
                pk_pack(variant, n, k, b, (size_t)k, packed);
                pk_epilogue e = {bias, (pk_activation)activation, residual, (size_t)n};
                pk_contract_f32(variant, m, n, k, a, (size_t)k, packed, c, (size_t)n, &e);
                h = digest(h, c, count);
                /* The left side across, and with an extent a row. */
                int extents[16];
                for (int i = 0; i < m; i++) extents[i] = i * 53 % (k + 1);
                pk_contract_strided_f32(variant, m, n, k, NULL, a, 1, (size_t)m, packed, c, (size_t)n);
                h = digest(h, c, count);
                pk_contract_strided_f32(variant, m, n, k, extents, a, 1, (size_t)m, packed, c, (size_t)n);
                h = digest(h, c, count);
                h = whole_numbers(variant, h, m, n, k, a, bias, &e, c);
                free(a), free(b), free(bias), free(residual), free(c), free(packed);
            }
    return h;
}

/* Convolutions of one image in both ways, and the greatest of its windows. */
static uint64_t convolutions(pk_variant variant, uint64_t h) {
    static const int shapes[][7] = {{3, 9, 3, 1, 1, 1, 10}, {2, 23, 7, 2, 1, 3, 13}, {40, 8, 3, 1, 2, 2, 21}, {70, 7, 2, 3, 1, 0, 50}, {300, 7, 1, 1, 1, 0, 17}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const int *d = shapes[s];
        int channels = d[0], side = d[1], kernel = d[2], m = d[6], k = channels * kernel * kernel;
        int size = (side + 2 * d[5] - (kernel - 1) * d[4] - 1) / d[3] + 1, places = size * size;
        pk_windows w = {channels, side, side, (int64_t)side * side, side, {kernel, kernel}, {d[3], d[3]}, {d[4], d[4]}, {d[5], d[5]}, {size, size}};
        size_t count = (size_t)m * (size_t)places;
        float *x = numbers((size_t)(channels * side * side)), *filters = numbers((size_t)m * (size_t)k), *bias = numbers((size_t)m);
        float *residual = numbers(count), *out = numbers(count > (size_t)(channels * places) ? count : (size_t)(channels * places));
        float *packed = malloc(pk_pack_filters_size(variant, m, k) * sizeof(float)), *scratch = malloc(pk_convolution_scratch(variant, k) * sizeof(float));
        pk_convolution_epilogue e = {bias, residual, (int32_t)(s % 2)};
        pk_pack_filters(variant, m, k, filters, (size_t)k, packed);
        pk_convolution_f32(variant, &w, x, 0, m, 0, places, packed, &e, out, (size_t)places, scratch);
        h = digest(h, out, count);
        free(packed), free(scratch);
        packed = malloc(pk_pack_size(variant, m, k) * sizeof(float));
        float *held = malloc(pk_held_size(variant, k, places) * sizeof(float));
        scratch = aligned_alloc(64, (pk_held_scratch(variant, places) * sizeof(float) + 63) / 64 * 64);
        pk_pack(variant, m, k, filters, (size_t)k, packed);
        pk_hold_windows(variant, &w, x, 0, places, held);
        pk_held_convolution_f32(variant, k, 0, m, 1, places, held, packed, &e, out, (size_t)places, 0, scratch);
        h = digest(h, out, count);
        pk_maximum_pool_f32(variant, &w, x, 0, channels, out, (size_t)places);
        h = digest(h, out, (size_t)(channels * places));
        free(x), free(filters), free(bias), free(residual), free(out), free(packed), free(scratch), free(held);
    }
    return h;
}

static uint64_t rows(pk_variant variant, uint64_t h) {
    static const int lengths[] = {1, 3, 4, 7, 8, 15, 16, 31, 33, 64, 100, 255, 256, 257, 600};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        int n = lengths[i];
        size_t count = 3 * (size_t)n;
        float *x = numbers(count), *gain = numbers((size_t)n), *bias = numbers((size_t)n), *y = numbers(count);
        float sum = pk_row_sum_f32(variant, x, (size_t)n);
        h = digest(h, &sum, 1);
        pk_column_row_sum_f32(variant, n, 3, x, 3, y);
        h = digest(h, y, 3);
        pk_layer_norm_f32(variant, 3, n, x, (size_t)n, gain, bias, 1e-12f, y, (size_t)n);
        h = digest(h, y, count);
        int extents[3] = {n, n / 2, 0};
        pk_softmax_f32(variant, 3, n, extents, x, (size_t)n, 0.3f, y, (size_t)n);
        h = digest(h, y, count);
        int width = 1 + n % 41, extent = n;
        size_t size = (size_t)extent * (size_t)width;
        float *k = numbers(size), *v = numbers(size), *q = numbers(5 * (size_t)width), *out = numbers(5 * (size_t)width);
        float *scratch = malloc(pk_attention_scratch(5, extent, width) * sizeof(float));
        size_t w = (size_t)width;
        pk_attention_f32(variant, 5, extent, width, q, w, k, w, v, w, 0.25f, out, w, scratch);
        h = digest(h, out, 5 * w);
        free(x), free(gain), free(bias), free(y), free(k), free(v), free(q), free(out), free(scratch);
    }
    return h;
}

/* A stride through all bit patterns. */
static uint64_t functions(pk_variant variant, uint64_t h) {
    enum { BLOCK = 1000 };
    float x[BLOCK], y[BLOCK];
    for (int f = PK_EXP; f <= PK_RELU; f++) {
        uint64_t bits = 0;
        while (bits < (uint64_t)1 << 32) {
            int n = 0;
            for (; n < BLOCK && bits < (uint64_t)1 << 32; n++, bits += 65537 / 4) {
                uint32_t u = (uint32_t)bits;
                memcpy(x + n, &u, 4);
            }
            pk_unary_f32(variant, (pk_function)f, (size_t)n, x, y);
            h = digest(h, y, (size_t)n);
        }
    }
    return h;
}

int main(void) {
    if (!pk_check_float_environment()) return 2;
    for (int v = PK_SCALAR; v <= PK_NEON; v++) {
        pk_variant variant = (pk_variant)v;
        if (!pk_variant_supported(variant)) continue;
        state = 1;
        uint64_t h = 0xcbf29ce484222325u;
        uint64_t contracted = convolutions(variant, contractions(variant, h)), summed = rows(variant, h), mapped = functions(variant, h);
        printf("%016llx %016llx %016llx %s\n", (unsigned long long)contracted, (unsigned long long)summed,
               (unsigned long long)mapped, pk_variant_name(variant));
    }
    return 0;
}
