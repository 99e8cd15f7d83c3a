#pragma once
#include <stddef.h>
#include <stdint.h>

/* The exact kernels of docs/numerics.md. `reference.c` is the specification; every other variant gives its bits. Nothing here allocates
   or keeps state; every entry point names its variant. Strides are in elements. */

typedef enum { PK_SCALAR = 0, PK_AVX2 = 1, PK_AVX512 = 2, PK_NEON = 3 } pk_variant;

int pk_variant_supported(pk_variant variant);
pk_variant pk_best_variant(void);
const char *pk_variant_name(pk_variant variant);

/* Whether rounding is to nearest with subnormals kept and no trap (MXCSR 0x1F80 but for its sticky flags; FPCR 0). */
int pk_check_float_environment(void);
void pk_set_float_environment(void);

/* For loops that wait for another thread. */
static inline void pk_wait_a_little(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

/* B is [n, k] row-major. The packed layout is the variant's own; its size is in floats. */
size_t pk_pack_size(pk_variant variant, int n, int k);
void pk_pack(pk_variant variant, int n, int k, const float *b, size_t ldb, float *packed);
/* The same where B is [k, n]: element (j, i) lies at b[i·ldb + j]. */
void pk_pack_turned(pk_variant variant, int n, int k, const float *b, size_t ldb, float *packed);
/* Threads may share out columns at multiples of this: from column j on, the matrix is `packed + j·k`, with c, bias and residual moved by j. */
int pk_panel_columns(pk_variant variant);

typedef enum {
    PK_NONE = 0,
    PK_GELU = 1,
    PK_RELU_ACTIVATION = 2,
    PK_TANH_ACTIVATION = 3,
    PK_SILU_ACTIVATION = 4
} pk_activation;

/* result = activation(sum + bias) + residual, each step rounded by itself; NULL leaves a step out. */
typedef struct {
    const float *bias;
    pk_activation activation;
    const float *residual;
    size_t ldr;
} pk_epilogue;

/* C[m,n] = A[m,k] · B[n,k]ᵀ in SEG order, then the epilogue. */
void pk_contract_f32(pk_variant variant, int m, int n, int k, const float *a, size_t lda, const float *packed, float *c,
                     size_t ldc, const pk_epilogue *epilogue);

/* The same where successive k of a row of A lie `step` apart, and row i takes its first extents[i] terms (NULL: all k; 0 ≤ extent ≤ k). */
void pk_contract_strided_f32(pk_variant variant, int m, int n, int k, const int *extents, const float *a, size_t lda,
                             size_t step, const float *packed, float *c, size_t ldc);

/* The same without extents for a right side as it lies, element (j, i) at b[j·ldb + i·apart], of which ldb or apart is 1: it is packed by segments. Scratch
   is in floats. */
size_t pk_outer_scratch(pk_variant variant, int n);
void pk_contract_outer_f32(pk_variant variant, int m, int n, int k, const float *a, size_t lda, size_t step, const float *b, size_t ldb,
                           size_t apart, float *c, size_t ldc, float *scratch);

/* The same with extents (NULL: all k) and a number added to each column's sums (NULL: none), for few rows: the right side is read once and packed nowhere. Any
   number of rows may be given; more than pk_few_rows come faster when the right side is packed. */
int pk_few_rows(pk_variant variant);
void pk_contract_few_f32(pk_variant variant, int m, int n, int k, const int *extents, const float *a, size_t lda, size_t step, const float *b,
                         size_t ldb, size_t apart, const float *bias, float *c, size_t ldc);

/* i8 × i8 → i32, exact: sums wrap, and with at most 131,071 terms none does. B is [n, k] row-major; the packed layout is the variant's own, its size in
   bytes. Threads may share out columns at multiples of pk_panel_columns_i8: from column j on, the matrix is packed + j·pk_packed_column_i8. */
size_t pk_pack_size_i8(pk_variant variant, int n, int k);
size_t pk_packed_column_i8(pk_variant variant, int k);
int pk_panel_columns_i8(pk_variant variant);
void pk_pack_i8(pk_variant variant, int n, int k, const int8_t *b, size_t ldb, uint8_t *packed);
/* Row i takes its first extents[i] terms (NULL: all k; 0 ≤ extent ≤ k). */
void pk_contract_i8(pk_variant variant, int m, int n, int k, const int *extents, const int8_t *a, size_t lda, const uint8_t *packed,
                    int32_t *c, size_t ldc);

/* A row of n > 0 f32 as whole numbers, but for its greatest: the first of the greatest magnitude (rule 5) stands apart as `top` at `place`. Of the others amax of |x|,
   scale = amax/127, q = rint(x·r) within ±127 with r = 127/amax, 0 where amax is not above 0; no number becomes 0; q at the place is 0. */
void pk_round_rows(pk_variant variant, int rows, int n, const float *x, size_t ldx, int8_t *q, size_t ldq, float *scale, float *top,
                   int32_t *place);
/* A linear layer of such rows: c[i,j] = fma(f32(Σ q·b), scale[i], top[i]·f32(b[j, place[i]]))·columns[j], then the epilogue. Scratch is in bytes. */
size_t pk_linear_i8_scratch(pk_variant variant, int k);
void pk_linear_i8(pk_variant variant, int m, int n, int k, const int8_t *q, size_t ldq, const float *scale, const float *top,
                  const int32_t *place, const uint8_t *packed, const float *columns, const pk_epilogue *epilogue, float *c, size_t ldc,
                  void *scratch);

/* A row of n > 0 f32 as whole numbers of fifteen bits in two halves: power = 2^(e − 14) with the least e ≥ −135 for which max |x| ≤ 16255·power (2^−149 for
   a row of zeros, NaN for one that is not finite), q = rint(x / power) = 128·high + low with low in [−64, 63], all 0 in a row that is not finite. */
void pk_halve_rows(pk_variant variant, int rows, int n, const float *x, size_t ldx, int8_t *high, int8_t *low, size_t ldq, float *power);
/* A linear layer of such rows: c[i,j] = f32(Σ q·b) · power[i]·powers[j], the sum exact and what follows it rounded once, then the epilogue. The right side's
   halves are packed as i8, each for itself. Scratch is in bytes. */
size_t pk_linear_halves_scratch(pk_variant variant, int k);
void pk_linear_halves(pk_variant variant, int m, int n, int k, const int8_t *high, const int8_t *low, size_t ldq, const float *power,
                      const uint8_t *packed_high, const uint8_t *packed_low, const float *powers, const pk_epilogue *epilogue, float *c,
                      size_t ldc, void *scratch);

/* p = softmax(x·scale) over the first extents[i] of each row's n (NULL: all), +0 beyond; x may be y. */
void pk_softmax_f32(pk_variant variant, int rows, int n, const int *extents, const float *x, size_t ldx, float scale,
                    float *y, size_t ldy);

/* One head: s = SEG(q·k)·scale over `extent` keys, p = softmax(s), out = SEG(p·v). Scratch is in floats. */
size_t pk_attention_scratch(int rows, int extent, int width);
void pk_attention_f32(pk_variant variant, int rows, int extent, int width, const float *q, size_t ldq, const float *k,
                      size_t ldk, const float *v, size_t ldv, float scale, float *out, size_t ldo, float *scratch);

void pk_layer_norm_f32(pk_variant variant, int rows, int n, const float *x, size_t ldx, const float *gain,
                       const float *bias, float epsilon, float *y, size_t ldy);

/* ROW order. */
float pk_row_sum_f32(pk_variant variant, const float *x, size_t n);
/* out[j] = ROW over i of x[i,j]. */
void pk_column_row_sum_f32(pk_variant variant, int rows, int n, const float *x, size_t ldx, float *out);
/* out[i] = ROW of the chunks before, plus the ascending chain of i's own chunk; out may be x. */
void pk_row_prefix_f32(const float *x, size_t n, float *out);
/* Rule 5: by integer key, NaN wins, ties to the lowest index, a zero is +0; of nothing, −∞, +∞ and index 0. */
float pk_row_max_f32(const float *x, size_t n);
float pk_row_min_f32(const float *x, size_t n);
float pk_row_extreme_f32(pk_variant variant, const float *x, size_t n, int largest);
size_t pk_row_argmax_f32(const float *x, size_t n);
/* The place of the largest or smallest: of equal ones the first, of NaN the first before all; 0 where there is none. */
size_t pk_row_argument_f32(pk_variant variant, const float *x, size_t n, int largest);

typedef enum {
    PK_EXP,
    PK_LOG,
    PK_TANH,
    PK_ERF,
    PK_SIN,
    PK_COS,
    PK_SQRT,
    PK_GELU_FN,
    PK_RSQRT,
    PK_SIGMOID,
    PK_SILU,
    PK_RELU
} pk_function;
/* y may be x. */
void pk_unary_f32(pk_variant variant, pk_function function, size_t n, const float *x, float *y);
float pk_exp_f32(float x);
float pk_log_f32(float x);
float pk_tanh_f32(float x);
float pk_erf_f32(float x);
float pk_sin_f32(float x);
float pk_cos_f32(float x);
float pk_gelu_f32(float x);
float pk_sigmoid_f32(float x);

/* Rule 6. */
int32_t pk_f32_to_i32(float x);
int64_t pk_f32_to_i64(float x);
int8_t pk_f32_to_i8(float x);
uint8_t pk_f32_to_u8(float x);
float pk_bf16_to_f32(uint16_t x);
float pk_f16_to_f32(uint16_t x);
uint16_t pk_f32_to_bf16(float x);
uint16_t pk_f32_to_f16(float x);
void pk_canonicalize_f32(float *x, size_t n);
void pk_widen_bf16(size_t n, const uint16_t *x, float *y);
void pk_widen_f16(size_t n, const uint16_t *x, float *y);
void pk_narrow_bf16(size_t n, const float *x, uint16_t *y);
void pk_narrow_f16(size_t n, const float *x, uint16_t *y);

#include "CConvolution.h"
#include "CGather.h"
#include "CMap.h"
