#include "CKernels.h"
#include "dispatch.h"
#include "reference.h"
#include <string.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

int pk_variant_supported(pk_variant variant) {
    switch (variant) {
    case PK_SCALAR: return 1;
#if defined(__x86_64__)
    case PK_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case PK_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
    case PK_NEON: return 0;
#elif defined(__aarch64__)
    case PK_NEON: return 1;
    case PK_AVX2:
    case PK_AVX512: return 0;
#else
    default: return 0;
#endif
    }
    return 0;
}

pk_variant pk_best_variant(void) {
    if (pk_variant_supported(PK_AVX512)) return PK_AVX512;
    if (pk_variant_supported(PK_AVX2)) return PK_AVX2;
    if (pk_variant_supported(PK_NEON)) return PK_NEON;
    return PK_SCALAR;
}

const char *pk_variant_name(pk_variant variant) {
    switch (variant) {
    case PK_SCALAR: return "scalar";
    case PK_AVX2: return "avx2";
    case PK_AVX512: return "avx512";
    case PK_NEON: return "neon";
    }
    return "unknown";
}

int pk_check_float_environment(void) {
#if defined(__x86_64__)
    return (_mm_getcsr() & ~0x3Fu) == 0x1F80u;
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr == 0;
#else
    return 1;
#endif
}

void pk_set_float_environment(void) {
#if defined(__x86_64__)
    _mm_setcsr(0x1F80u);
#elif defined(__aarch64__)
    uint64_t zero = 0;
    __asm__ volatile("msr fpcr, %0" : : "r"(zero));
#endif
}

static size_t plain_size(int n, int k) { return (size_t)n * (size_t)(k > 0 ? k : 1); }

size_t pk_pack_size(pk_variant v, int n, int k) { DISPATCH(v, pack_size, return plain_size(n, k);, n, k) }

static void plain_pack(int n, int k, const float *b, size_t ldb, float *packed) {
    for (int j = 0; j < n; j++) memcpy(packed + (size_t)j * (size_t)k, b + (size_t)j * ldb, (size_t)k * sizeof(float));
}

void pk_pack(pk_variant v, int n, int k, const float *b, size_t ldb, float *packed) {
    DISPATCH(v, pack, plain_pack(n, k, b, ldb, packed);, n, k, b, ldb, packed)
}

int pk_panel_columns(pk_variant v) { DISPATCH(v, panel_columns, return 1;) }

void pk_contract_f32(pk_variant v, int m, int n, int k, const float *a, size_t lda, const float *packed, float *c,
                     size_t ldc, const pk_epilogue *e) {
    DISPATCH(v, contract, pk_ref_contract(m, n, k, a, lda, packed, (size_t)k, c, ldc, e);, m, n, k, a, lda, packed, c, ldc, e)
}

size_t pk_attention_scratch(int rows, int extent, int width) {
    (void)rows;
    /* The widest panel's padding, the keys turned round, and a tile of scores. */
    size_t columns = ((size_t)extent + 47) / 48 * 48;
    return columns * (size_t)width + 8 * columns;
}

void pk_attention_f32(pk_variant variant, int rows, int extent, int width, const float *q, size_t ldq, const float *k,
                      size_t ldk, const float *v, size_t ldv, float scale, float *out, size_t ldo, float *scratch) {
    DISPATCH(variant, attention, pk_ref_attention(rows, extent, width, q, ldq, k, ldk, v, ldv, scale, out, ldo, scratch);,
             rows, extent, width, q, ldq, k, ldk, v, ldv, scale, out, ldo, scratch)
}

void pk_softmax_f32(pk_variant variant, int rows, int n, const int *extents, const float *x, size_t ldx, float scale,
                    float *y, size_t ldy) {
    DISPATCH(variant, softmax, pk_ref_softmax(rows, n, extents, x, ldx, scale, y, ldy);, rows, n, extents, x, ldx, scale, y, ldy)
}

void pk_layer_norm_f32(pk_variant v, int rows, int n, const float *x, size_t ldx, const float *gain, const float *bias,
                       float epsilon, float *y, size_t ldy) {
    DISPATCH(v, layer_norm, pk_ref_layer_norm(rows, n, x, ldx, gain, bias, epsilon, y, ldy);, rows, n, x, ldx, gain, bias,
             epsilon, y, ldy)
}

float pk_row_sum_f32(pk_variant v, const float *x, size_t n) { DISPATCH(v, row_sum, return pk_ref_row_sum(x, n);, x, n) }

void pk_column_row_sum_f32(pk_variant v, int rows, int n, const float *x, size_t ldx, float *out) {
    DISPATCH(v, column_row_sum, pk_ref_column_row_sum(rows, n, x, ldx, out);, rows, n, x, ldx, out)
}

static void plain_unary(pk_function function, size_t n, const float *x, float *y) {
    for (size_t i = 0; i < n; i++) y[i] = pk_ref_unary(function, x[i]);
}

void pk_unary_f32(pk_variant v, pk_function function, size_t n, const float *x, float *y) {
    DISPATCH(v, unary, plain_unary(function, n, x, y);, function, n, x, y)
}

static void plain_pack_turned(int n, int k, const float *b, size_t ldb, float *packed) {
    for (int i = 0; i < k; i++)
        for (int j = 0; j < n; j++) packed[(size_t)j * (size_t)k + (size_t)i] = b[(size_t)i * ldb + (size_t)j];
}

void pk_pack_turned(pk_variant v, int n, int k, const float *b, size_t ldb, float *packed) {
    DISPATCH(v, pack_turned, plain_pack_turned(n, k, b, ldb, packed);, n, k, b, ldb, packed)
}

void pk_contract_strided_f32(pk_variant v, int m, int n, int k, const int *extents, const float *a, size_t lda, size_t step,
                             const float *packed, float *c, size_t ldc) {
    DISPATCH(v, contract_strided, pk_ref_contract_strided(m, n, k, extents, a, lda, step, packed, c, ldc);, m, n, k, extents, a,
             lda, step, packed, c, ldc)
}

size_t pk_outer_scratch(pk_variant v, int n) { DISPATCH(v, outer_scratch, (void)n; return 1;, n) }

void pk_contract_outer_f32(pk_variant v, int m, int n, int k, const float *a, size_t lda, size_t step, const float *b, size_t ldb,
                           size_t apart, float *c, size_t ldc, float *scratch) {
    (void)scratch;
    DISPATCH(v, contract_outer, pk_ref_contract_outer(m, n, k, a, lda, step, b, ldb, apart, c, ldc);, m, n, k, a, lda, step, b, ldb,
             apart, c, ldc, scratch)
}

int pk_few_rows(pk_variant v) { DISPATCH(v, few_rows, return 4;) }

void pk_contract_few_f32(pk_variant v, int m, int n, int k, const int *extents, const float *a, size_t lda, size_t step, const float *b,
                         size_t ldb, size_t apart, const float *bias, float *c, size_t ldc) {
    DISPATCH(v, contract_few, pk_ref_contract_few(m, n, k, extents, a, lda, step, b, ldb, apart, bias, c, ldc);, m, n, k, extents, a, lda,
             step, b, ldb, apart, bias, c, ldc)
}

float pk_row_extreme_f32(pk_variant v, const float *x, size_t n, int largest) {
    DISPATCH(v, row_extreme, return largest ? pk_row_max_f32(x, n) : pk_row_min_f32(x, n);, x, n, largest)
}

size_t pk_row_argument_f32(pk_variant v, const float *x, size_t n, int largest) {
    float most = pk_row_extreme_f32(v, x, n, largest);
    int isNumber = most == most;
    size_t first = 0;
    /* Whole pieces first, of which the compiler makes vectors: only the one that has it is looked through. */
    for (; first + 64 <= n; first += 64) {
        int has = 0;
        for (size_t i = first; i < first + 64; i++) has |= isNumber ? x[i] == most : x[i] != x[i];
        if (has) break;
    }
    for (; first < n; first++)
        if (isNumber ? x[first] == most : x[first] != x[first]) return first;
    return 0;
}

void pk_round_rows(pk_variant v, int rows, int n, const float *x, size_t ldx, int8_t *q, size_t ldq, float *scale, float *top,
                   int32_t *place) {
    DISPATCH(v, round_rows, pk_ref_round_rows(rows, n, x, ldx, q, ldq, scale, top, place);, rows, n, x, ldx, q, ldq, scale, top, place)
}

void pk_scale_row(pk_variant v, int n, const int32_t *sums, const int32_t *right, float scale, float top, const float *columns,
                  const pk_epilogue *e, float *c) {
    DISPATCH(v, scale_row, pk_ref_scale_row(n, sums, right, scale, top, columns, e, c);, n, sums, right, scale, top, columns, e, c)
}

void pk_halve_rows(pk_variant v, int rows, int n, const float *x, size_t ldx, int8_t *high, int8_t *low, size_t ldq, float *power) {
    DISPATCH(v, halve_rows, pk_ref_halve_rows(rows, n, x, ldx, high, low, ldq, power);, rows, n, x, ldx, high, low, ldq, power)
}

void pk_scale_halves(pk_variant v, int n, const pk_half_sums *sums, float power, const float *columns, const pk_epilogue *e, float *c) {
    DISPATCH(v, scale_halves, pk_ref_scale_halves(n, sums, power, columns, e, c);, n, sums, power, columns, e, c)
}

void pk_map_run(pk_variant v, const pk_map *map, int64_t first, int64_t count, void *out, void *scratch) {
    DISPATCH(v, map_run, pk_map_run_scalar(map, first, count, out, scratch);, map, first, count, out, scratch)
}
