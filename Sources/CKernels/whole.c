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

/* Most rows of a tile. */
#define TILE 12
/* Columns that go through together: their sums stay in the first-level cache. */
#define COLUMNS 256
/* Packed bytes that all rows go over while they stay in the second-level cache. */
#define REACH (640 << 10)

/* Rows as they lie. */
typedef struct {
    const int8_t *a;
    size_t lda;
} plain_rows;

static void plain_hold(const int8_t *a, size_t lda, plain_rows *to) {
    to->a = a;
    to->lda = lda;
}

size_t pk_linear_i8_scratch(pk_variant v, int k) {
    (void)k;
    DISPATCH(v, held_bytes_i8, return sizeof(plain_rows);, k)
}

static int tile_rows(pk_variant v) { DISPATCH(v, tile_rows_i8, return TILE;) }

static void hold(pk_variant v, int rows, int k, const int8_t *a, size_t lda, void *to) {
    (void)rows, (void)k;
    DISPATCH(v, hold_i8, plain_hold(a, lda, to);, rows, k, a, lda, to)
}

static void held(pk_variant v, int rows, int n, int k, const void *from, const uint8_t *packed, int32_t *c, size_t ldc) {
    const plain_rows *p = from;
    DISPATCH(v, held_i8, plain_contract(rows, n, k, NULL, p->a, p->lda, packed, c, ldc);, rows, n, k, from, packed, c, ldc)
}

static void plain_column(int n, int k, int term, const uint8_t *packed, int32_t *out) {
    for (int j = 0; j < n; j++) out[j] = (int8_t)packed[(size_t)j * (size_t)k + (size_t)term];
}

static void column(pk_variant v, int n, int k, int term, const uint8_t *packed, int32_t *out) {
    DISPATCH(v, column_i8, plain_column(n, k, term, packed, out);, n, k, term, packed, out)
}

void pk_linear_i8(pk_variant v, int m, int n, int k, const int8_t *q, size_t ldq, const float *scale, const float *top, const int32_t *place,
                  const uint8_t *packed, const float *columns, const pk_epilogue *e, float *c, size_t ldc, void *scratch) {
    static const pk_epilogue nothing = {0};
    if (!e) e = &nothing;
    int32_t sums[TILE * COLUMNS], right[COLUMNS];
    size_t apart = pk_packed_column_i8(v, k);
    int tile = tile_rows(v);
    int chunk = (int)(REACH / apart) / COLUMNS * COLUMNS;
    if (chunk < COLUMNS) chunk = COLUMNS;
    for (int first = 0; first < n; first += chunk) {
        int end = n - first < chunk ? n : first + chunk;
        for (int i = 0; i < m;) {
            int left = (m - i + tile - 1) / tile;
            int rows = (m - i + left - 1) / left;
            hold(v, rows, k, q + (size_t)i * ldq, ldq, scratch);
            for (int j = first; j < end; j += COLUMNS) {
                int count = end - j < COLUMNS ? end - j : COLUMNS;
                const uint8_t *panel = packed + (size_t)j * apart;
                held(v, rows, count, k, scratch, panel, sums, COLUMNS);
                for (int r = i; r < i + rows; r++) {
                    column(v, count, k, place[r], panel, right);
                    pk_epilogue s = *e;
                    if (s.bias) s.bias += j;
                    if (s.residual) s.residual += (size_t)r * s.ldr + (size_t)j;
                    pk_scale_row(v, count, sums + (size_t)(r - i) * COLUMNS, right, scale[r], top[r], columns + j, &s,
                                 c + (size_t)r * ldc + (size_t)j);
                }
            }
            i += rows;
        }
    }
}

/* Columns of numbers in two halves that go through together: eight sums each for twelve rows. */
#define HALVED_COLUMNS 128

/* Copied: the plain form reads rows one after another. */
static void plain_hold_halves(int rows, int k, const int8_t *high, const int8_t *low, size_t lda, plain_rows *to) {
    int8_t *copy = (int8_t *)(to + 1);
    for (int r = 0; r < rows; r++) {
        memcpy(copy + (size_t)r * (size_t)k, high + (size_t)r * lda, (size_t)k);
        memcpy(copy + (size_t)(rows + r) * (size_t)k, low + (size_t)r * lda, (size_t)k);
    }
    plain_hold(copy, (size_t)k, to);
}

size_t pk_linear_halves_scratch(pk_variant v, int k) {
    DISPATCH(v, held_bytes_i8, return sizeof(plain_rows) + TILE * (size_t)k;, k)
}

static void hold_halves(pk_variant v, int rows, int k, const int8_t *high, const int8_t *low, size_t lda, void *to) {
    DISPATCH(v, hold_halves, plain_hold_halves(rows, k, high, low, lda, to);, rows, k, high, low, lda, to)
}

/* Both halves of some rows are one tile, so that each line of the right side is read once for both. */
void pk_linear_halves(pk_variant v, int m, int n, int k, const int8_t *high, const int8_t *low, size_t ldq, const float *power,
                      const uint8_t *packed_high, const uint8_t *packed_low, const float *powers, const pk_epilogue *e, float *c,
                      size_t ldc, void *scratch) {
    static const pk_epilogue nothing = {0};
    if (!e) e = &nothing;
    int32_t by_high[TILE * HALVED_COLUMNS], by_low[TILE * HALVED_COLUMNS];
    size_t apart = pk_packed_column_i8(v, k);
    int tile = tile_rows(v) / 2;
    int chunk = (int)(REACH / (2 * apart + 1)) / HALVED_COLUMNS * HALVED_COLUMNS;
    if (chunk < HALVED_COLUMNS) chunk = HALVED_COLUMNS;
    for (int first = 0; first < n; first += chunk) {
        int end = n - first < chunk ? n : first + chunk;
        for (int i = 0; i < m;) {
            int left = (m - i + tile - 1) / tile;
            int rows = (m - i + left - 1) / left;
            hold_halves(v, rows, k, high + (size_t)i * ldq, low + (size_t)i * ldq, ldq, scratch);
            for (int j = first; j < end; j += HALVED_COLUMNS) {
                int count = end - j < HALVED_COLUMNS ? end - j : HALVED_COLUMNS;
                held(v, 2 * rows, count, k, scratch, packed_high + (size_t)j * apart, by_high, HALVED_COLUMNS);
                held(v, 2 * rows, count, k, scratch, packed_low + (size_t)j * apart, by_low, HALVED_COLUMNS);
                for (int r = 0; r < rows; r++) {
                    size_t up = (size_t)r * HALVED_COLUMNS, down = (size_t)(rows + r) * HALVED_COLUMNS;
                    pk_half_sums sums = {by_high + up, by_low + up, by_high + down, by_low + down};
                    pk_epilogue own = *e;
                    if (own.bias) own.bias += j;
                    if (own.residual) own.residual += (size_t)(i + r) * own.ldr + (size_t)j;
                    pk_scale_halves(v, count, &sums, power[i + r], powers + j, &own, c + (size_t)(i + r) * ldc + (size_t)j);
                }
            }
            i += rows;
        }
    }
}
