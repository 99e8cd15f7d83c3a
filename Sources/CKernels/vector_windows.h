/* Windows of one channel each: the greatest element, the sum of all, and products with filters of one channel. */

/* The greater by rule 5, but for a zero's sign and a NaN's form. */
INLINE vf greater(vf a, vf b) { return pick_one((b > a) | (b != b), b, a); }

/* Windows [low, high) of a row of windows, of which the image's `rows` rows from `from` on are `apart`: all their elements are inside of the image's columns. */
INLINE void pool_run(const int stride, const pk_windows *w, const float *from, int rows, int64_t apart, int low, int high, float *out) {
    from += (int64_t)low * stride - w->before[1];
    /* What the windows below will need is asked for, row by row. */
    int64_t below = (int64_t)w->stride[0] * w->row;
    for (int x = low; x < high; x += VW, from += VW * stride) {
        vf most = -INFINITY;
        const float *row = from;
        for (int u = 0; u < rows; u++, row += apart) {
            UNROLL for (int l = 0; l < VW * stride; l += 16) __builtin_prefetch(row + 2 * below + l);
            if (high - x >= VW) {
                for (int v = 0; v < w->kernel[1]; v++) {
                    const float *p = row + (int64_t)v * w->dilation[1];
                    most = greater(most, stride == 1 ? load(p) : load_second(p, VW));
                }
            } else {
                for (int v = 0; v < w->kernel[1]; v++) {
                    const float *p = row + (int64_t)v * w->dilation[1];
                    most = greater(most, stride == 1 ? load_part(p, high - x) : load_second(p, high - x));
                }
            }
        }
        store_part(out + x, canonical(pick_one(most == 0.0f, (vf)0.0f, most)), high - x);
    }
}

void FN(maximum_pool)(const pk_windows *w, const float *image, int top, int bottom, float *out, size_t ldo) {
    /* The windows of a row that lie inside of the image's columns. */
    int64_t reach = (int64_t)(w->kernel[1] - 1) * w->dilation[1];
    int64_t low = (w->before[1] + w->stride[1] - 1) / w->stride[1];
    int64_t room = (int64_t)w->width - 1 - reach + w->before[1];
    int64_t high = room < 0 ? 0 : room / w->stride[1] + 1;
    if (high > w->size[1]) high = w->size[1];
    if (low > high || w->stride[1] > 2) low = high = w->size[1];
    for (int c = top; c < bottom; c++)
        for (int y = 0; y < w->size[0]; y++) {
            float *to = out + (size_t)c * ldo + (size_t)y * (size_t)w->size[1];
            /* The rows of the window that are the image's. */
            int64_t begin = (int64_t)y * w->stride[0] - w->before[0];
            int first = begin < 0 ? (int)((-begin + w->dilation[0] - 1) / w->dilation[0]) : 0;
            int64_t end = begin < w->height ? (w->height - 1 - begin) / w->dilation[0] + 1 : 0;
            int rows = (int)(end < w->kernel[0] ? end : w->kernel[0]) - first;
            const float *from = image + c * w->channel + (begin + (int64_t)first * w->dilation[0]) * w->row;
            int64_t apart = (int64_t)w->dilation[0] * w->row;
            if (low < high && w->stride[1] == 1) pool_run(1, w, from, rows, apart, (int)low, (int)high, to);
            else if (low < high) pool_run(2, w, from, rows, apart, (int)low, (int)high, to);
            for (int x = 0; x < w->size[1]; x++) {
                if (x == low) x = (int)high;
                if (x >= w->size[1]) break;
                float most = -INFINITY;
                for (int u = 0; u < rows; u++)
                    for (int v = 0; v < w->kernel[1]; v++) {
                        int64_t column = (int64_t)x * w->stride[1] + (int64_t)v * w->dilation[1] - w->before[1];
                        if (column < 0 || column >= w->width) continue;
                        float a = from[u * apart + column];
                        if (a > most || a != a) most = a;
                    }
                to[x] = canonical_scalar(most == 0.0f ? 0.0f : most);
            }
        }
}

/* One channel with its padding: all that windows reach, in rows of `pitch`. Whole vectors may be read beyond a row's end. */
typedef struct {
    int64_t rows, width, pitch;
} frame;

INLINE frame frame_of(const pk_windows *w) {
    frame f;
    f.rows = (int64_t)(w->size[0] - 1) * w->stride[0] + (int64_t)(w->kernel[0] - 1) * w->dilation[0] + 1;
    f.width = (int64_t)(w->size[1] - 1) * w->stride[1] + (int64_t)(w->kernel[1] - 1) * w->dilation[1] + 1;
    f.pitch = (f.width + VW - 1) / VW * VW;
    return f;
}

size_t FN(frame_floats)(const pk_windows *w) {
    frame f = frame_of(w);
    return (size_t)(f.rows * f.pitch) + (size_t)(VW * w->stride[1]) + 2 * VW;
}

static void fill_frame(const pk_windows *w, const float *channel, frame f, float *to) {
    /* Columns of the image that the frame holds. */
    int64_t begin = w->before[1] < f.width ? w->before[1] : f.width;
    int64_t end = w->before[1] + w->width < f.width ? w->before[1] + w->width : f.width;
    for (int64_t i = 0; i < f.rows; i++, to += f.pitch) {
        int64_t y = i - w->before[0];
        if (y < 0 || y >= w->height || end <= begin) {
            memset(to, 0, (size_t)f.pitch * sizeof(float));
            continue;
        }
        memset(to, 0, (size_t)begin * sizeof(float));
        const float *row = channel + y * w->row;
        int64_t j = begin;
        for (; j + VW <= end; j += VW) store(to + j, load(row + j - begin));
        if (j < end) store_part(to + j, load_part(row + j - begin, (int)(end - j)), (int)(end - j));
        memset(to + end, 0, (size_t)(f.pitch - end) * sizeof(float));
    }
    memset(to, 0, (size_t)(VW * w->stride[1] + 2 * VW) * sizeof(float));
}

/* VW elements from p on, each or every second or further one; `n` of them count. */
INLINE vf taken(const int stride, const pk_windows *w, const float *p, int n) {
    if (stride == 1) return load(p);
    if (stride == 2) return load_second(p, VW);
    vf x = 0.0f;
    for (int l = 0; l < VW && l < n; l++) x[l] = p[(int64_t)l * w->stride[1]];
    return x;
}

/* Rows of windows that go side by side. */
#define SIDE 4

/* All windows of a channel with one filter: SEG over its elements. */
INLINE void filter_channel(const int stride, const pk_windows *w, frame f, const float *held, const float *filter, float bias,
                           const pk_convolution_epilogue *e, const float *residual, float *out) {
    int64_t below = (int64_t)w->stride[0] * f.pitch, apart = (int64_t)w->dilation[0] * f.pitch;
    for (int y = 0; y < w->size[0]; y += SIDE)
        for (int x = 0; x < w->size[1]; x += VW) {
            /* Rows past the last are the last again. */
            const float *from[SIDE];
            UNROLL for (int r = 0; r < SIDE; r++)
                from[r] = held + (y + r < w->size[0] ? y + r : w->size[0] - 1) * below + (int64_t)x * w->stride[1];
            int n = w->size[1] - x;
            vf total[SIDE], acc[SIDE];
            UNROLL for (int r = 0; r < SIDE; r++) total[r] = acc[r] = 0.0f;
            int t = 0;
            for (int u = 0; u < w->kernel[0]; u++)
                for (int v = 0; v < w->kernel[1]; v++, t++) {
                    if (t % 256 == 0 && t > 0)
                        UNROLL for (int r = 0; r < SIDE; r++) {
                            total[r] = total[r] + acc[r];
                            acc[r] = 0.0f;
                        }
                    int64_t at = u * apart + (int64_t)v * w->dilation[1];
                    vf weight = filter[t];
                    UNROLL for (int r = 0; r < SIDE; r++) acc[r] = fma_one(taken(stride, w, from[r] + at, n), weight, acc[r]);
                }
            for (int r = 0; r < SIDE && y + r < w->size[0]; r++) {
                vf sum = (total[r] + acc[r]) + 0.0f;
                size_t at = (size_t)(y + r) * (size_t)w->size[1] + (size_t)x;
                if (e->bias) sum += bias;
                if (residual) sum += load_part(residual + at, n);
                store_part(out + at, bounded(sum, e), n);
            }
        }
}

void FN(channel_convolution)(const pk_windows *w, const float *image, int each, int top, int bottom, const float *filters,
                             const pk_convolution_epilogue *e, float *out, size_t ldo, float *scratch) {
    frame f = frame_of(w);
    int k = w->kernel[0] * w->kernel[1];
    for (int i = top; i < bottom; i++) {
        if (i == top || i % each == 0) fill_frame(w, image + (int64_t)(i / each) * w->channel, f, scratch);
        const float *filter = filters + (size_t)i * (size_t)k, *residual = e->residual ? e->residual + (size_t)i * ldo : NULL;
        float bias = e->bias ? e->bias[i] : 0.0f, *to = out + (size_t)i * ldo;
        if (w->stride[1] == 1) filter_channel(1, w, f, scratch, filter, bias, e, residual, to);
        else if (w->stride[1] == 2) filter_channel(2, w, f, scratch, filter, bias, e, residual, to);
        else filter_channel(3, w, f, scratch, filter, bias, e, residual, to);
    }
}

/* ROW over the elements of all windows of a channel. */
INLINE void sum_channel(const int stride, const pk_windows *w, frame f, const float *held, float *out) {
    int k = w->kernel[0] * w->kernel[1];
    for (int y = 0; y < w->size[0]; y++)
        for (int x = 0; x < w->size[1]; x += VW) {
            const float *from = held + (int64_t)y * w->stride[0] * f.pitch + (int64_t)x * w->stride[1];
            int n = w->size[1] - x, u = 0, v = 0;
            vf total = 0.0f;
            for (int start = 0; start < k; start += 256) {
                int count = k - start < 256 ? k - start : 256, lanes = count < 32 ? count : 32;
                vf lane[32];
                for (int t = 0; t < count; t++) {
                    vf a = taken(stride, w, from + (int64_t)u * w->dilation[0] * f.pitch + (int64_t)v * w->dilation[1], n);
                    lane[t % 32] = t < 32 ? a : lane[t % 32] + a;
                    if (++v == w->kernel[1]) v = 0, u++;
                }
                /* Lanes that are missing would add +0, which nothing but a zero's sign would show. */
                for (int width = 16; width >= 1; width /= 2)
                    for (int l = 0; l < width && l + width < lanes; l++) lane[l] += lane[l + width];
                total += lane[0];
            }
            store_part(out + (size_t)y * (size_t)w->size[1] + (size_t)x, canonical(total + 0.0f), n);
        }
}

void FN(window_sum)(const pk_windows *w, const float *image, int top, int bottom, float *out, size_t ldo, float *scratch) {
    frame f = frame_of(w);
    for (int c = top; c < bottom; c++) {
        fill_frame(w, image + c * w->channel, f, scratch);
        if (w->stride[1] == 1) sum_channel(1, w, f, scratch, out + (size_t)c * ldo);
        else if (w->stride[1] == 2) sum_channel(2, w, f, scratch, out + (size_t)c * ldo);
        else sum_channel(3, w, f, scratch, out + (size_t)c * ldo);
    }
}
