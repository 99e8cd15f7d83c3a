#pragma once
#include "CKernels.h"

/* Convolutions and pooling over windows of images, read where they lie: no window is written out. */

/* Windows over the rows and columns of one image [channels, height, width]: window (y, x) holds the elements at (y·stride + i·dilation − before) on each axis, and
   zeros where those lie outside. `channel` and `row` are elements between successive channels and rows; those of a row lie one after another. In pairs: rows, columns. */
typedef struct {
    int32_t channels, height, width;
    int64_t channel, row;
    int32_t kernel[2], stride[2], dilation[2], before[2];
    /* How many windows there are. */
    int32_t size[2];
} pk_windows;

/* What is taken for a result below zero, and, where it is clipped, above a number. */
enum { PK_UNBOUNDED = 0, PK_RECTIFIED = 1, PK_CLIPPED = 2 };

/* result = min(max(sum + bias + residual, 0), most), each step rounded by itself; what is NULL or 0 is left out. The bias is one number a filter; the residual lies as the
   result. The bounds by rule 5; `most` is above zero. */
typedef struct {
    const float *bias;
    const float *residual;
    int32_t relu;
    float most;
} pk_convolution_epilogue;

/* Filters are [m, k] row-major, k by channel, then row and column of the kernel. The packed layout is the variant's own; its size is in floats. Threads may share out
   filters at multiples of pk_filter_rows. */
int pk_filter_rows(pk_variant variant);
size_t pk_pack_filters_size(pk_variant variant, int m, int k);
void pk_pack_filters(pk_variant variant, int m, int k, const float *filters, size_t ldf, float *packed);

/* out[i·ldo + p] = SEG over k of filter i · window p, then the epilogue, for filters [top, bottom) and windows [first, last) of an image, counted row by row. `out` and the
   residual are those of filter 0 and window 0. Scratch is in floats. */
size_t pk_convolution_scratch(pk_variant variant, int k);
void pk_convolution_f32(pk_variant variant, const pk_windows *windows, const float *image, int top, int bottom, int first, int last,
                        const float *packed, const pk_convolution_epilogue *epilogue, float *out, size_t ldo, float *scratch);

/* The same for few windows and many filters. Windows are brought together once: [first, last) of an image, from a multiple of pk_held_rows on, to their place in
   `held`, which has pk_held_size floats for all `count` of each image, one image after another. Then filters [first, last), packed as the right side of a product (pk_pack)
   and shared out at multiples of pk_panel_columns, are read once each for all images, whose results lie `apart`. `out` and the residual are those of the first image, filter 0
   and window 0; scratch is aligned to 64 bytes and has pk_held_scratch floats for each image. */
int pk_held_rows(pk_variant variant);
size_t pk_held_size(pk_variant variant, int k, int count);
void pk_hold_windows(pk_variant variant, const pk_windows *windows, const float *image, int first, int last, float *held);
size_t pk_held_scratch(pk_variant variant, int count);
void pk_held_convolution_f32(pk_variant variant, int k, int first, int last, int images, int count, const float *held, const float *packed,
                             const pk_convolution_epilogue *epilogue, float *out, size_t ldo, size_t apart, float *scratch);

/* out[c·ldo + p] = the greatest element of window p of channel c by rule 5, for channels [top, bottom), all windows. What lies outside of the image is −∞. */
void pk_maximum_pool_f32(pk_variant variant, const pk_windows *windows, const float *image, int top, int bottom, float *out, size_t ldo);

/* Filters of one channel: out[i·ldo + p] = SEG over the kernel of filter i · window p of channel i / each, then the epilogue, for filters [top, bottom), all windows. Filters are
   [m, rows · columns of the kernel] row-major, as they are. Scratch has pk_channel_scratch floats, of any content. */
size_t pk_channel_scratch(pk_variant variant, const pk_windows *windows);
void pk_channel_convolution_f32(pk_variant variant, const pk_windows *windows, const float *image, int each, int top, int bottom,
                                const float *filters, const pk_convolution_epilogue *epilogue, float *out, size_t ldo, float *scratch);

/* out[c·ldo + p] = ROW over the elements of window p of channel c, those outside of the image zero, for channels [top, bottom), all windows. Scratch as above. */
void pk_window_sum_f32(pk_variant variant, const pk_windows *windows, const float *image, int top, int bottom, float *out, size_t ldo,
                       float *scratch);
