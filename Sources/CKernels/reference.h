#pragma once
#include "CKernels.h"
#include "CConvolution.h"
#include "CMap.h"

/* The scalar specification, for the dispatcher and for lanes that a vector form leaves over. */
float pk_ref_row_sum(const float *x, size_t n);
void pk_ref_column_row_sum(int rows, int n, const float *x, size_t ldx, float *out);
void pk_ref_contract(int m, int n, int k, const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc,
                     const pk_epilogue *e);
void pk_ref_softmax(int rows, int n, const int *extents, const float *x, size_t ldx, float scale, float *y, size_t ldy);
void pk_ref_attention(int rows, int extent, int width, const float *q, size_t ldq, const float *k, size_t ldk,
                      const float *v, size_t ldv, float scale, float *out, size_t ldo, float *scratch);
void pk_ref_layer_norm(int rows, int n, const float *x, size_t ldx, const float *gain, const float *bias, float epsilon,
                       float *y, size_t ldy);
float pk_ref_unary(pk_function function, float x);
void pk_ref_contract_strided(int m, int n, int k, const int *extents, const float *a, size_t lda, size_t step, const float *b,
                             float *c, size_t ldc);
void pk_ref_contract_few(int m, int n, int k, const int *extents, const float *a, size_t lda, size_t step, const float *b, size_t ldb, size_t apart,
                         const float *bias, float *c, size_t ldc);
void pk_ref_contract_outer(int m, int n, int k, const float *a, size_t lda, size_t step, const float *b, size_t ldb, size_t apart,
                           float *c, size_t ldc);
void pk_ref_round_rows(int rows, int n, const float *x, size_t ldx, int8_t *q, size_t ldq, float *scale, float *top, int32_t *place);
/* One row of a linear layer on whole numbers from its sums: y = fma(f32(sum), scale, top·f32(right))·column, then the epilogue. */
void pk_ref_scale_row(int n, const int32_t *sums, const int32_t *right, float scale, float top, const float *columns, const pk_epilogue *e,
                      float *c);
/* The same by the variant. */
void pk_scale_row(pk_variant variant, int n, const int32_t *sums, const int32_t *right, float scale, float top, const float *columns,
                  const pk_epilogue *e, float *c);
void pk_ref_halve_rows(int rows, int n, const float *x, size_t ldx, int8_t *high, int8_t *low, size_t ldq, float *power);
/* One row of a linear layer on numbers in two halves, from its four sums, left half first: y = f32(2¹⁴·hh + 2⁷·(hl + lh) + ll)·(power·column), then the
   epilogue. */
typedef struct {
    const int32_t *hh, *hl, *lh, *ll;
} pk_half_sums;
void pk_ref_scale_halves(int n, const pk_half_sums *sums, float power, const float *columns, const pk_epilogue *e, float *c);
/* The same by the variant. */
void pk_scale_halves(pk_variant variant, int n, const pk_half_sums *sums, float power, const float *columns, const pk_epilogue *e, float *c);
void pk_ref_convolution(const pk_windows *w, const float *image, int top, int bottom, int first, int last, const float *filters,
                        const pk_convolution_epilogue *e, float *out, size_t ldo, float *window);
void pk_ref_held_convolution(int k, int first, int last, int images, int count, const float *held, const float *filters,
                             const pk_convolution_epilogue *e, float *out, size_t ldo, size_t apart);
void pk_ref_maximum_pool(const pk_windows *w, const float *image, int top, int bottom, float *out, size_t ldo);
void pk_ref_channel_convolution(const pk_windows *w, const float *image, int each, int top, int bottom, const float *filters,
                                const pk_convolution_epilogue *e, float *out, size_t ldo, float *window);
void pk_ref_window_sum(const pk_windows *w, const float *image, int top, int bottom, float *out, size_t ldo, float *window);
void pk_map_run_scalar(const pk_map *map, int64_t first, int64_t count, void *out, void *scratch);

/* The entry points of a vector variant. */
#define PK_DECLARE_VARIANT(suffix)                                                                                      \
    int pk_panel_columns_##suffix(void);                                                                               \
    void pk_softmax_##suffix(int rows, int n, const int *extents, const float *x, size_t ldx, float scale, float *y,   \
                             size_t ldy);                                                                              \
    size_t pk_pack_size_##suffix(int n, int k);                                                                        \
    void pk_pack_##suffix(int n, int k, const float *b, size_t ldb, float *packed);                                    \
    void pk_contract_##suffix(int m, int n, int k, const float *a, size_t lda, const float *packed, float *c,          \
                              size_t ldc, const pk_epilogue *e);                                                       \
    void pk_attention_##suffix(int rows, int extent, int width, const float *q, size_t ldq, const float *k,            \
                               size_t ldk, const float *v, size_t ldv, float scale, float *out, size_t ldo,            \
                               float *scratch);                                                                        \
    void pk_layer_norm_##suffix(int rows, int n, const float *x, size_t ldx, const float *gain, const float *bias,     \
                                float epsilon, float *y, size_t ldy);                                                  \
    float pk_row_sum_##suffix(const float *x, size_t n);                                                               \
    void pk_column_row_sum_##suffix(int rows, int n, const float *x, size_t ldx, float *out);                          \
    float pk_row_extreme_##suffix(const float *x, size_t n, int largest);                                              \
    void pk_contract_strided_##suffix(int m, int n, int k, const int *extents, const float *a, size_t lda, size_t step, \
                                      const float *packed, float *c, size_t ldc);                                      \
    size_t pk_outer_scratch_##suffix(int n);                                                                            \
    int pk_few_rows_##suffix(void);                                                                                     \
    void pk_contract_few_##suffix(int m, int n, int k, const int *extents, const float *a, size_t lda, size_t step,       \
                                  const float *b, size_t ldb, size_t apart, const float *bias, float *c, size_t ldc);     \
    void pk_contract_outer_##suffix(int m, int n, int k, const float *a, size_t lda, size_t step, const float *b, size_t ldb, \
                                    size_t apart, float *c, size_t ldc, float *scratch);                               \
    void pk_pack_turned_##suffix(int n, int k, const float *b, size_t ldb, float *packed);                             \
    void pk_round_rows_##suffix(int rows, int n, const float *x, size_t ldx, int8_t *q, size_t ldq, float *scale, float *top, \
                                int32_t *place);                                                                       \
    void pk_scale_row_##suffix(int n, const int32_t *sums, const int32_t *right, float scale, float top,               \
                               const float *columns, const pk_epilogue *e, float *c);                                  \
    void pk_halve_rows_##suffix(int rows, int n, const float *x, size_t ldx, int8_t *high, int8_t *low, size_t ldq,    \
                                float *power);                                                                         \
    void pk_scale_halves_##suffix(int n, const pk_half_sums *sums, float power, const float *columns,                  \
                                  const pk_epilogue *e, float *c);                                                     \
    int pk_filter_rows_##suffix(void);                                                                                 \
    void pk_pack_filters_##suffix(int m, int k, const float *filters, size_t ldf, float *packed);                      \
    void pk_convolution_##suffix(const pk_windows *w, const float *image, int top, int bottom, int first, int last,    \
                                 const float *packed, const pk_convolution_epilogue *e, float *out, size_t ldo, float *scratch); \
    void pk_hold_windows_##suffix(const pk_windows *w, const float *image, int first, int last, float *held);          \
    size_t pk_held_scratch_##suffix(int count);                                                                        \
    void pk_held_convolution_##suffix(int k, int first, int last, int images, int count, const float *held,            \
                                      const float *packed, const pk_convolution_epilogue *e, float *out, size_t ldo,   \
                                      size_t apart, float *scratch);                                                   \
    void pk_maximum_pool_##suffix(const pk_windows *w, const float *image, int top, int bottom, float *out, size_t ldo); \
    size_t pk_frame_floats_##suffix(const pk_windows *w);                                                              \
    void pk_channel_convolution_##suffix(const pk_windows *w, const float *image, int each, int top, int bottom,       \
                                         const float *filters, const pk_convolution_epilogue *e, float *out, size_t ldo, \
                                         float *scratch);                                                              \
    void pk_window_sum_##suffix(const pk_windows *w, const float *image, int top, int bottom, float *out, size_t ldo,  \
                                float *scratch);                                                                       \
    void pk_map_run_##suffix(const pk_map *map, int64_t first, int64_t count, void *out, void *scratch);               \
    void pk_unary_##suffix(pk_function function, size_t n, const float *x, float *y);

#if defined(__x86_64__)
PK_DECLARE_VARIANT(avx2)
PK_DECLARE_VARIANT(avx512)
#elif defined(__aarch64__)
PK_DECLARE_VARIANT(neon)
#endif

/* The exact product of integers, in the forms that there are. `hold` brings rows of the left side together, at most `tile` of them, with their sums;
   `hold_halves` half as many high ones and behind them their low ones; `held` multiplies them by some columns from a panel on; `scaled` does, and takes scales,
   what stands apart, bias and residual into the sums while they are in registers. */
#define PK_DECLARE_WHOLE(suffix)                                                                                        \
    int pk_panel_columns_i8_##suffix(void);                                                                            \
    size_t pk_packed_column_i8_##suffix(int k);                                                                        \
    void pk_pack_i8_##suffix(int n, int k, const int8_t *b, size_t ldb, uint8_t *packed);                              \
    void pk_contract_i8_##suffix(int m, int n, int k, const int *extents, const int8_t *a, size_t lda,                 \
                                 const uint8_t *packed, int32_t *c, size_t ldc);                                       \
    int pk_tile_rows_i8_##suffix(void);                                                                                \
    size_t pk_held_bytes_i8_##suffix(int k);                                                                           \
    void pk_hold_i8_##suffix(int rows, int k, const int8_t *a, size_t lda, void *held);                                \
    void pk_hold_halves_##suffix(int rows, int k, const int8_t *high, const int8_t *low, size_t lda, void *held);      \
    void pk_held_i8_##suffix(int rows, int n, int k, const void *held, const uint8_t *packed, int32_t *c, size_t ldc); \
    void pk_scaled_i8_##suffix(int rows, int n, int k, const void *held, const uint8_t *packed, const float *scale, const float *top, \
                               const int32_t *place, const float *columns, const float *bias, const float *residual, size_t ldr, \
                               float *c, size_t ldc);

#if defined(__x86_64__)
PK_DECLARE_WHOLE(avx2)
PK_DECLARE_WHOLE(vnni)
#endif
