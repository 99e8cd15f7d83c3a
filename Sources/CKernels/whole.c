/* i8 × i8 → i32: the specification, and which form runs. */
#include "CKernels.h"
#include "reference.h"
#include <string.h>

/* Rows of the right side one after another. */
static void plain_pack(int n, int k, const int8_t *b, size_t ldb, uint8_t *packed) {
    for (int j = 0; j < n; j++) memcpy(packed + (size_t)j * (size_t)k, b + (size_t)j * ldb, (size_t)k);
}

static void plain_contract(int m, int n, int k, const int *extents, const int8_t *a, size_t lda, const uint8_t *packed, int32_t *c,
                           size_t ldc) {
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            const int8_t *row = a + (size_t)i * lda, *column = (const int8_t *)packed + (size_t)j * (size_t)k;
            int extent = extents ? extents[i] : k;
            /* Wraps, as the wide forms do. */
            uint32_t sum = 0;
            for (int t = 0; t < extent; t++) sum += (uint32_t)((int32_t)row[t] * (int32_t)column[t]);
            c[(size_t)i * ldc + (size_t)j] = (int32_t)sum;
        }
}

#if defined(__x86_64__)
/* A machine with AVX-512 but without its dot products takes the narrower form. */
#define DISPATCH(v, name, plain, ...)                                                                                  \
    switch (v) {                                                                                                       \
    case PK_AVX512:                                                                                                    \
        if (__builtin_cpu_supports("avx512vnni")) return pk_##name##_vnni(__VA_ARGS__);                                \
        return pk_##name##_avx2(__VA_ARGS__);                                                                          \
    case PK_AVX2: return pk_##name##_avx2(__VA_ARGS__);                                                                \
    default: plain                                                                                                     \
    }
#else
#define DISPATCH(v, name, plain, ...) (void)v; plain
#endif

int pk_panel_columns_i8(pk_variant v) { DISPATCH(v, panel_columns_i8, return 1;) }

size_t pk_packed_column_i8(pk_variant v, int k) { DISPATCH(v, packed_column_i8, return (size_t)k;, k) }

size_t pk_pack_size_i8(pk_variant v, int n, int k) {
    size_t columns = (size_t)pk_panel_columns_i8(v);
    return ((size_t)n + columns - 1) / columns * columns * pk_packed_column_i8(v, k);
}

void pk_pack_i8(pk_variant v, int n, int k, const int8_t *b, size_t ldb, uint8_t *packed) {
    DISPATCH(v, pack_i8, plain_pack(n, k, b, ldb, packed);, n, k, b, ldb, packed)
}

void pk_contract_i8(pk_variant v, int m, int n, int k, const int *extents, const int8_t *a, size_t lda, const uint8_t *packed,
                    int32_t *c, size_t ldc) {
    DISPATCH(v, contract_i8, plain_contract(m, n, k, extents, a, lda, packed, c, ldc);, m, n, k, extents, a, lda, packed, c, ldc)
}

/* Rows that go through together: whole tiles, whose sums stay in the second-level cache. */
#define TOGETHER 48

size_t pk_linear_i8_scratch(int n, int k) { return (size_t)TOGETHER * ((size_t)n + 1 + ((size_t)k + 3) / 4) + 16; }

void pk_linear_i8(pk_variant v, int m, int n, int k, const float *x, size_t ldx, const uint8_t *packed, const float *columns,
                  const pk_epilogue *e, float *c, size_t ldc, float *scratch) {
    int32_t *sums = (int32_t *)(void *)scratch;
    float *scale = scratch + (size_t)TOGETHER * (size_t)n;
    int8_t *q = (int8_t *)(void *)(scale + TOGETHER);
    for (int i = 0; i < m; i += TOGETHER) {
        int rows = m - i < TOGETHER ? m - i : TOGETHER;
        pk_round_rows(v, rows, k, x + (size_t)i * ldx, ldx, q, (size_t)k, scale);
        pk_contract_i8(v, rows, n, k, NULL, q, (size_t)k, packed, sums, (size_t)n);
        pk_epilogue s = {0};
        if (e) s = *e;
        if (s.residual) s.residual += (size_t)i * s.ldr;
        pk_scale_rows(v, rows, n, sums, (size_t)n, scale, columns, &s, c + (size_t)i * ldc, ldc);
    }
}
