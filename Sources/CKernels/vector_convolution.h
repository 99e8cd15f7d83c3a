/* Convolutions in SEG order: filters in tiles of rows, windows brought together a panel at a time, sums from registers to their place. */

int FN(filter_rows)(void) { return MR; }

/* MR rows of filters, k-major, zero beyond m. */
void FN(pack_filters)(int m, int k, const float *filters, size_t ldf, float *packed) {
    for (int i = 0; i < m; i += MR, packed += (size_t)MR * (size_t)k)
        for (int r = 0; r < MR; r++)
            for (int t = 0; t < k; t++) packed[(size_t)t * MR + (size_t)r] = i + r < m ? filters[(size_t)(i + r) * ldf + (size_t)t] : 0.0f;
}

/* Every second element from p on; nothing behind the last of them is read. */
#define SECOND(l, h) (2 * (l))
INLINE vf load_second(const float *p, int n) {
    if (n >= VW) n = VW;
    vf a = load_part(p, 2 * n - 1), b = 0.0f;
    if (2 * n - 1 > VW) b = LOAD_PART(p + VW, 2 * n - 1 - VW);
    return __builtin_shufflevector(a, b, TAKE(SECOND, 0));
}

/* Windows that follow one another in a row of windows, as columns of a panel. */
typedef struct {
    int column, count, y, x;
} window_run;

/* One element of all windows of a run: `count` of them go to each channel's line. */
static void pack_run(int channels, int count, int stride, const float *from, size_t channel, float *line, size_t apart) {
    if (stride == 1 && count == NP) {
        for (int c = 0; c < channels; c++, from += channel, line += apart)
            UNROLL for (int v = 0; v < NV; v++) store(line + v * VW, load(from + v * VW));
        return;
    }
    if (stride > 2) {
        for (int c = 0; c < channels; c++, from += channel, line += apart)
            for (int j = 0; j < count; j++) line[j] = from[(size_t)j * (size_t)stride];
        return;
    }
    for (int j = 0; j < count; j += VW, from += VW * stride, line += VW) {
        int n = count - j;
        const float *source = from;
        float *to = line;
        if (stride == 2 && n >= VW) {
            for (int c = 0; c < channels; c++, source += channel, to += apart) store(to, load_second(source, VW));
        } else if (stride == 2) {
            for (int c = 0; c < channels; c++, source += channel, to += apart) STORE_PART(to, load_second(source, n), n);
        } else if (n >= VW) {
            for (int c = 0; c < channels; c++, source += channel, to += apart) store(to, load(source));
        } else {
            for (int c = 0; c < channels; c++, source += channel, to += apart) STORE_PART(to, LOAD_PART(source, n), n);
        }
    }
}

/* Zeros in a part of each channel's line. */
static void clear_run(int channels, int count, float *line, size_t apart) {
    for (int j = 0; j < count; j += VW)
        for (int c = 0; c < channels; c++) store_part(line + (size_t)c * apart + j, (vf)0.0f, count - j);
}

/* Windows of one element each, all elements of an image whose rows lie one after another, are those of one long row. */
INLINE pk_windows joined(const pk_windows *w) {
    pk_windows j = *w;
    for (int a = 0; a < 2; a++) if (w->kernel[a] != 1 || w->stride[a] != 1 || w->before[a] != 0) return j;
    if (w->size[0] != w->height || w->size[1] != w->width || (w->row != w->width && w->height > 1)) return j;
    j.width = j.size[1] = w->size[0] * w->size[1];
    j.height = j.size[0] = 1;
    return j;
}

/* What makes the lines of one channel, the same for all of them: whole vectors copied in order, each of which may run over what the next ones or the next line write,
   then zeros where windows reach out of the image. */
#define PLANNED 768
typedef struct {
    struct {
        int32_t from, to;
    } copies[PLANNED];
    struct {
        int32_t to, count;
    } zeros[PLANNED];
    int copied, cleared;
    /* The elements that copies read, of the channel's first, and the end of those that they write. */
    int64_t low, high, end;
} channel_plan;

/* The windows of a run that lie inside of the image for element (u, v): the first of them begins at `from`, and [low, high) are inside. */
INLINE int64_t reached(const pk_windows *w, window_run run, int u, int v, int *low, int *high) {
    int64_t y = (int64_t)run.y * w->stride[0] + (int64_t)u * w->dilation[0] - w->before[0];
    int64_t x = (int64_t)run.x * w->stride[1] + (int64_t)v * w->dilation[1] - w->before[1];
    /* 0 ≤ x + stride·j < width. */
    int64_t first = x >= 0 ? 0 : (-x + w->stride[1] - 1) / w->stride[1];
    int64_t last = x >= w->width ? 0 : (w->width - 1 - x) / w->stride[1] + 1;
    if (last > run.count) last = run.count;
    if (y < 0 || y >= w->height || last <= first) first = last = run.count;
    *low = (int)first;
    *high = (int)last;
    return y * w->row + x;
}

/* Whether there is room for the plan, and all places are 32 bits wide. */
static int plan_channel(const pk_windows *w, const window_run *runs, int count, int columns, int width, channel_plan *plan) {
    int lines = w->kernel[0] * w->kernel[1], step = w->stride[1];
    if (step > 2 || lines > PLANNED / 8) return 0;
    plan->copied = plan->cleared = 0;
    plan->low = plan->high = plan->end = 0;
    for (int t = 0; t < lines; t++) {
        int line = t * width;
        for (int r = 0; r < count; r++) {
            int low, high, to = line + runs[r].column;
            int64_t from = reached(w, runs[r], t / w->kernel[1], t % w->kernel[1], &low, &high);
            for (int j = low / VW * VW; j < high; j += VW) {
                int64_t begin = from + (int64_t)j * step, end = begin + VW * step;
                if (plan->copied == PLANNED || begin < -(1 << 30) || end > 1 << 30) return 0;
                plan->copies[plan->copied].from = (int32_t)begin;
                plan->copies[plan->copied++].to = to + j;
                if (begin < plan->low) plan->low = begin;
                if (end > plan->high) plan->high = end;
                if (to + j + VW > plan->end) plan->end = to + j + VW;
            }
            int clears[3][2] = {{0, low}, {high, runs[r].count}, {runs[r].count, r == count - 1 ? width - columns + runs[r].count : 0}};
            for (int c = 0; c < 3; c++)
                for (int j = clears[c][0]; j < clears[c][1]; j += VW) {
                    if (plan->cleared == PLANNED) return 0;
                    plan->zeros[plan->cleared].to = to + j;
                    plan->zeros[plan->cleared++].count = clears[c][1] - j < VW ? clears[c][1] - j : VW;
                }
        }
    }
    return 1;
}

INLINE void planned(const channel_plan *plan, const int step, const float *from, float *to) {
    for (int i = 0; i < plan->copied; i++) {
        const float *p = from + plan->copies[i].from;
        if (step == 1) store(to + plan->copies[i].to, load(p));
        else store(to + plan->copies[i].to, __builtin_shufflevector(load(p), load(p + VW), TAKE(SECOND, 0)));
    }
    for (int i = 0; i < plan->cleared; i++) store_part(to + plan->zeros[i].to, (vf)0.0f, plan->zeros[i].count);
}

/* Windows [first, first + columns) as a panel of so many columns, zero beyond. */
static void pack_windows(const pk_windows *w, const float *image, int first, int columns, int width, float *panel) {
    window_run runs[NP];
    int count = 0;
    for (int j = 0; j < columns; count++) {
        int y = (first + j) / w->size[1], x = (first + j) % w->size[1];
        int length = w->size[1] - x < columns - j ? w->size[1] - x : columns - j;
        runs[count] = (window_run){j, length, y, x};
        j += length;
    }
    size_t apart = (size_t)w->kernel[0] * (size_t)w->kernel[1] * (size_t)width;
    /* Channels whose copies stay inside of the image and of the panel: lines are then written one after another. */
    int begin = 0, end = 0;
    channel_plan plan;
    if (plan_channel(w, runs, count, columns, width, &plan)) {
        int64_t all = (int64_t)(w->channels - 1) * w->channel + (int64_t)(w->height - 1) * w->row + w->width;
        end = w->channels;
        while (begin < end && begin * w->channel + plan.low < 0) begin++;
        while (end > begin && ((end - 1) * w->channel + plan.high > all || (int64_t)(w->channels - end + 1) * (int64_t)apart < plan.end)) end--;
        const float *from = image + begin * w->channel;
        float *to = panel + (size_t)begin * apart;
        if (w->stride[1] == 1) for (int c = begin; c < end; c++, from += w->channel, to += apart) planned(&plan, 1, from, to);
        else for (int c = begin; c < end; c++, from += w->channel, to += apart) planned(&plan, 2, from, to);
    }
    /* Channels [0, begin) and [end, channels). */
    for (int part = 0; part < 2; part++) {
        int channels = part == 0 ? begin : w->channels - end;
        if (channels == 0) continue;
        const float *source = image + (part == 0 ? 0 : end) * w->channel;
        float *line = panel + (size_t)(part == 0 ? 0 : end) * apart;
        for (int t = 0; t < w->kernel[0] * w->kernel[1]; t++, line += width) {
            for (int r = 0; r < count; r++) {
                int low, high;
                float *to = line + runs[r].column;
                int64_t from = reached(w, runs[r], t / w->kernel[1], t % w->kernel[1], &low, &high);
                clear_run(channels, low, to, apart);
                if (high > low)
                    pack_run(channels, high - low, w->stride[1], source + from + (int64_t)low * w->stride[1], (size_t)w->channel, to + low, apart);
                clear_run(channels, runs[r].count - high, to + high, apart);
            }
            clear_run(channels, width - columns, line + columns, apart);
        }
    }
}

/* One form of NaN, which the bounds leave as it is. */
INLINE vf bounded(vf y, const pk_convolution_epilogue *e) {
    y = canonical(y);
    if (e->relu) y = pick_one(y <= 0.0f, (vf)0.0f, y);
    if (e->relu == PK_CLIPPED) y = pick_one(y > e->most, (vf)e->most, y);
    return y;
}

/* As multiply_out, with the filters' tile for rows and an epilogue of numbers by row. */
INLINE void windows_out(const int rows, const int vectors, int columns, int k, const float *tile, const float *panel, const pk_convolution_epilogue *e,
                        float *c, size_t ldc) {
    vf acc[MR * NV], total[MR * NV];
    /* What is written at the end, asked for now. */
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int l = 0; l < vectors * VW; l += 16) {
            __builtin_prefetch(c + (size_t)r * ldc + l, 1);
            if (e->residual) __builtin_prefetch(e->residual + (size_t)r * ldc + l);
        }
    /* The filters' next lines. */
    const float *ahead = tile + 1024;
    int start = 0;
    for (; start + 256 < k; start += 256) {
        partial(rows, vectors, 256, tile + (size_t)start * MR, 1, MR, panel + (size_t)start * NP, NP, ahead + (size_t)start * MR, MR, acc);
        UNROLL for (int t = 0; t < rows * vectors; t++) total[t] = start == 0 ? acc[t] : total[t] + acc[t];
    }
    partial(rows, vectors, k - start, tile + (size_t)start * MR, 1, MR, panel + (size_t)start * NP, NP, ahead + (size_t)start * MR, MR, acc);
    if (start > 0) UNROLL for (int t = 0; t < rows * vectors; t++) acc[t] = total[t] + acc[t];
    UNROLL for (int t = 0; t < rows * vectors; t++) acc[t] = acc[t] + 0.0f;
    if (e->bias)
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int v = 0; v < vectors; v++) acc[r * vectors + v] += e->bias[r];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors && v * VW < columns; v++) {
            vf y = acc[r * vectors + v];
            if (e->residual) y += load_part(e->residual + (size_t)r * ldc + v * VW, columns - v * VW);
            store_part(c + (size_t)r * ldc + v * VW, bounded(y, e), columns - v * VW);
        }
}

/* Asks for what the next panel will be made of, where windows are of one element: one channel after another, `share` of them. */
INLINE void ask_ahead(const pk_windows *w, const float *image, int first, int *channel, int share) {
    if (w->kernel[0] * w->kernel[1] != 1) return;
    int64_t y = (int64_t)(first / w->size[1]) * w->stride[0], x = (int64_t)(first % w->size[1]) * w->stride[1];
    if (y >= w->height || x >= w->width) return;
    const float *from = image + y * w->row + x;
    for (int end = *channel + share < w->channels ? *channel + share : w->channels; *channel < end; ++*channel)
        UNROLL for (int l = 0; l < NP; l += 16) __builtin_prefetch(from + *channel * w->channel + l);
}

void FN(convolution)(const pk_windows *windows, const float *image, int top, int bottom, int first, int last, const float *packed,
                     const pk_convolution_epilogue *e, float *out, size_t ldo, float *scratch) {
    pk_windows own = joined(windows), *w = &own;
    int k = w->channels * w->kernel[0] * w->kernel[1];
    int share = w->channels * MR / (bottom - top > 0 ? bottom - top : 1) + 1;
    for (int j = first; j < last; j += NP) {
        int columns = last - j < NP ? last - j : NP, channel = 0;
        pack_windows(w, image, j, columns, NP, scratch);
        for (int i = top; i < bottom; i += MR) {
            int rows = bottom - i < MR ? bottom - i : MR;
            pk_convolution_epilogue s = *e;
            if (s.bias) s.bias += i;
            if (s.residual) s.residual += (size_t)i * ldo + (size_t)j;
            ask_ahead(w, image, j + NP, &channel, share);
#define BODY(R, V)                                                                                                     \
    windows_out(R, V, columns, k, packed + (size_t)i * (size_t)k, scratch, &s, out + (size_t)i * ldo + (size_t)j, ldo)
            EACH_SIZE(rows, filled(columns))
#undef BODY
        }
    }
}

/* Few windows and many filters: the windows are the tile's rows. They are brought together once, and each filter is read once. */

void FN(hold_windows)(const pk_windows *windows, const float *image, int first, int last, float *held) {
    pk_windows own = joined(windows), *w = &own;
    int k = w->channels * w->kernel[0] * w->kernel[1];
    for (int j = first; j < last; j += MR, held += (size_t)MR * (size_t)k)
        pack_windows(w, image, j, last - j < MR ? last - j : MR, MR, held);
}

INLINE void add_partial(const int rows, const int vectors, int count, const float *a, const float *b, const float *ahead, int begins,
                        vf *total) {
    vf acc[MR * NV];
    partial(rows, vectors, count, a, 1, MR, b, NP, ahead, 16, acc);
    UNROLL for (int t = 0; t < rows * vectors; t++) total[t] = begins ? acc[t] : total[t] + acc[t];
}

/* A tile of windows by filters, turned so that a filter's windows follow one another. */
static void turned_out(int rows, int vectors, int columns, const vf *tile, const pk_convolution_epilogue *e, float *c, size_t ldc) {
    for (int v = 0; v < vectors && v * VW < columns; v++)
        for (int part = 0; part < rows; part += VW) {
            vf r[VW];
            int count = rows - part < VW ? rows - part : VW;
            for (int l = 0; l < VW; l++) r[l] = l < count ? tile[(part + l) * vectors + v] + 0.0f : (vf)0.0f;
            transpose(r);
            for (int l = 0; l < VW && v * VW + l < columns; l++) {
                size_t at = (size_t)(v * VW + l) * ldc + (size_t)part;
                vf y = r[l];
                if (e->bias) y += e->bias[v * VW + l];
                if (e->residual) y += load_part(e->residual + at, count);
                store_part(c + at, bounded(y, e), count);
            }
        }
}

size_t FN(held_scratch)(int count) { return (size_t)((count + MR - 1) / MR) * MR * NP; }

void FN(held_convolution)(int k, int first, int last, int images, int count, const float *held, const float *packed,
                          const pk_convolution_epilogue *e, float *out, size_t ldo, size_t apart, float *scratch) {
    int tall = (count + MR - 1) / MR * MR;
    for (int j = first; j < last; j += NP) {
        int columns = last - j < NP ? last - j : NP, vectors = filled(columns);
        const float *panel = packed + (size_t)j * (size_t)k;
        for (int start = 0; start < k || start == 0; start += 256) {
            int terms = k - start < 256 ? k - start : 256;
            const float *lines = panel + (size_t)start * NP;
            for (int i = 0; i < images * tall; i += MR) {
                int rows = count - i % tall < MR ? count - i % tall : MR;
                /* The next segment, or the next panel's first: a part of it with each of the first tiles. */
                const float *ahead = lines + (size_t)terms * NP + (size_t)(i / MR % (NP / 16)) * 256 * 16;
                vf *total = (vf *)(void *)(scratch + (size_t)i * NP);
#define BODY(R, V)                                                                                                     \
    add_partial(R, V, terms, held + (size_t)i * (size_t)k + (size_t)start * MR, lines, ahead, start == 0, total)
                EACH_SIZE(rows, vectors)
#undef BODY
            }
        }
        for (int i = 0; i < images * tall; i += MR) {
            int rows = count - i % tall < MR ? count - i % tall : MR;
            size_t at = (size_t)(i / tall) * apart + (size_t)j * ldo + (size_t)(i % tall);
            pk_convolution_epilogue s = *e;
            if (s.bias) s.bias += j;
            if (s.residual) s.residual += at;
            turned_out(rows, vectors, columns, (vf *)(void *)(scratch + (size_t)i * NP), &s, out + at, ldo);
        }
    }
}
