#include "CConvolution.h"
#include "bits.h"
#include "dispatch.h"
#include "reference.h"
#include <math.h>

/* The specification of convolutions and pooling, and the choice of a variant. */

/* Element t of the window at (y, x), by channel, then row and column of the kernel. */
static float element(const pk_windows *w, const float *image, int y, int x, int t, float outside) {
    int u = t / w->kernel[1] % w->kernel[0], v = t % w->kernel[1], c = t / (w->kernel[0] * w->kernel[1]);
    int64_t row = (int64_t)y * w->stride[0] + (int64_t)u * w->dilation[0] - w->before[0];
    int64_t column = (int64_t)x * w->stride[1] + (int64_t)v * w->dilation[1] - w->before[1];
    if (row < 0 || row >= w->height || column < 0 || column >= w->width) return outside;
    return image[c * w->channel + row * w->row + column];
}

/* SEG of two runs. */
static float segmented(const float *x, const float *y, int k) {
    float total = 0.0f;
    for (int start = 0; start < k; start += 256) {
        float segment = 0.0f;
        for (int t = start; t < k && t < start + 256; t++) segment = fmaf(x[t], y[t], segment);
        total += segment;
    }
    return total;
}

/* The number of a sum after the epilogue. */
static float finished(float sum, const pk_convolution_epilogue *e, size_t filter, size_t at) {
    float y = canonical(sum + 0.0f);
    if (e->bias) y = canonical(y + e->bias[filter]);
    if (e->residual) y = canonical(y + e->residual[at]);
    if (e->relu) y = pk_ref_unary(PK_RELU, y);
    return e->relu == PK_CLIPPED && y > e->most ? e->most : y;
}

void pk_ref_convolution(const pk_windows *w, const float *image, int top, int bottom, int first, int last, const float *filters,
                        const pk_convolution_epilogue *e, float *out, size_t ldo, float *window) {
    int k = w->channels * w->kernel[0] * w->kernel[1];
    for (int p = first; p < last; p++) {
        for (int t = 0; t < k; t++) window[t] = element(w, image, p / w->size[1], p % w->size[1], t, 0.0f);
        for (int i = top; i < bottom; i++) {
            size_t at = (size_t)i * ldo + (size_t)p;
            out[at] = finished(segmented(window, filters + (size_t)i * (size_t)k, k), e, (size_t)i, at);
        }
    }
}

static void plain_pack_filters(int m, int k, const float *filters, size_t ldf, float *packed) {
    for (int i = 0; i < m; i++) memcpy(packed + (size_t)i * (size_t)k, filters + (size_t)i * ldf, (size_t)k * sizeof(float));
}

int pk_filter_rows(pk_variant v) { DISPATCH(v, filter_rows, return 1;) }

size_t pk_pack_filters_size(pk_variant v, int m, int k) {
    int rows = pk_filter_rows(v);
    return (size_t)((m + rows - 1) / rows) * (size_t)rows * (size_t)(k > 0 ? k : 1);
}

void pk_pack_filters(pk_variant v, int m, int k, const float *filters, size_t ldf, float *packed) {
    DISPATCH(v, pack_filters, plain_pack_filters(m, k, filters, ldf, packed);, m, k, filters, ldf, packed)
}

size_t pk_convolution_scratch(pk_variant v, int k) { return (size_t)pk_panel_columns(v) * (size_t)(k > 0 ? k : 1); }

void pk_convolution_f32(pk_variant v, const pk_windows *w, const float *image, int top, int bottom, int first, int last,
                        const float *packed, const pk_convolution_epilogue *e, float *out, size_t ldo, float *scratch) {
    DISPATCH(v, convolution, pk_ref_convolution(w, image, top, bottom, first, last, packed, e, out, ldo, scratch);, w, image, top, bottom, first, last,
             packed, e, out, ldo, scratch)
}

static void plain_hold_windows(const pk_windows *w, const float *image, int first, int last, float *held) {
    int k = w->channels * w->kernel[0] * w->kernel[1];
    for (int p = first; p < last; p++)
        for (int t = 0; t < k; t++) *held++ = element(w, image, p / w->size[1], p % w->size[1], t, 0.0f);
}

void pk_ref_held_convolution(int k, int first, int last, int images, int count, const float *held, const float *filters,
                             const pk_convolution_epilogue *e, float *out, size_t ldo, size_t apart) {
    for (int g = 0; g < images; g++)
        for (int i = first; i < last; i++)
            for (int p = 0; p < count; p++) {
                size_t at = (size_t)g * apart + (size_t)i * ldo + (size_t)p;
                const float *window = held + (size_t)(g * count + p) * (size_t)k;
                out[at] = finished(segmented(window, filters + (size_t)i * (size_t)k, k), e, (size_t)i, at);
            }
}

int pk_held_rows(pk_variant v) { return pk_filter_rows(v); }

size_t pk_held_size(pk_variant v, int k, int count) { return pk_pack_filters_size(v, count, k); }

void pk_hold_windows(pk_variant v, const pk_windows *w, const float *image, int first, int last, float *held) {
    DISPATCH(v, hold_windows, plain_hold_windows(w, image, first, last, held);, w, image, first, last, held)
}

size_t pk_held_scratch(pk_variant v, int count) { DISPATCH(v, held_scratch, (void)count; return 1;, count) }

void pk_held_convolution_f32(pk_variant v, int k, int first, int last, int images, int count, const float *held, const float *packed,
                             const pk_convolution_epilogue *e, float *out, size_t ldo, size_t apart, float *scratch) {
    (void)scratch;
    DISPATCH(v, held_convolution, pk_ref_held_convolution(k, first, last, images, count, held, packed, e, out, ldo, apart);, k, first, last,
             images, count, held, packed, e, out, ldo, apart, scratch)
}

void pk_ref_maximum_pool(const pk_windows *w, const float *image, int top, int bottom, float *out, size_t ldo) {
    int count = w->kernel[0] * w->kernel[1];
    for (int c = top; c < bottom; c++)
        for (int p = 0; p < w->size[0] * w->size[1]; p++) {
            float most = -INFINITY;
            for (int t = c * count; t < (c + 1) * count; t++) {
                float pair[2] = {most, element(w, image, p / w->size[1], p % w->size[1], t, -INFINITY)};
                most = pk_row_max_f32(pair, 2);
            }
            out[(size_t)c * ldo + (size_t)p] = most;
        }
}

void pk_maximum_pool_f32(pk_variant v, const pk_windows *w, const float *image, int top, int bottom, float *out, size_t ldo) {
    DISPATCH(v, maximum_pool, pk_ref_maximum_pool(w, image, top, bottom, out, ldo);, w, image, top, bottom, out, ldo)
}

void pk_ref_channel_convolution(const pk_windows *w, const float *image, int each, int top, int bottom, const float *filters,
                                const pk_convolution_epilogue *e, float *out, size_t ldo, float *window) {
    int k = w->kernel[0] * w->kernel[1];
    for (int i = top; i < bottom; i++)
        for (int p = 0; p < w->size[0] * w->size[1]; p++) {
            size_t at = (size_t)i * ldo + (size_t)p;
            for (int t = 0; t < k; t++) window[t] = element(w, image, p / w->size[1], p % w->size[1], i / each * k + t, 0.0f);
            out[at] = finished(segmented(window, filters + (size_t)i * (size_t)k, k), e, (size_t)i, at);
        }
}

void pk_ref_window_sum(const pk_windows *w, const float *image, int top, int bottom, float *out, size_t ldo, float *window) {
    int k = w->kernel[0] * w->kernel[1];
    for (int c = top; c < bottom; c++)
        for (int p = 0; p < w->size[0] * w->size[1]; p++) {
            for (int t = 0; t < k; t++) window[t] = element(w, image, p / w->size[1], p % w->size[1], c * k + t, 0.0f);
            out[(size_t)c * ldo + (size_t)p] = pk_ref_row_sum(window, (size_t)k);
        }
}

size_t pk_channel_scratch(pk_variant v, const pk_windows *w) {
    DISPATCH(v, frame_floats, return (size_t)w->kernel[0] * (size_t)w->kernel[1];, w)
}

void pk_channel_convolution_f32(pk_variant v, const pk_windows *w, const float *image, int each, int top, int bottom, const float *filters,
                                const pk_convolution_epilogue *e, float *out, size_t ldo, float *scratch) {
    DISPATCH(v, channel_convolution, pk_ref_channel_convolution(w, image, each, top, bottom, filters, e, out, ldo, scratch);, w, image, each,
             top, bottom, filters, e, out, ldo, scratch)
}

void pk_window_sum_f32(pk_variant v, const pk_windows *w, const float *image, int top, int bottom, float *out, size_t ldo, float *scratch) {
    DISPATCH(v, window_sum, pk_ref_window_sum(w, image, top, bottom, out, ldo, scratch);, w, image, top, bottom, out, ldo, scratch)
}
