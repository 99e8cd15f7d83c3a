/* Row kernels: ROW sums, layer norm, softmax, and functions over arrays. */

/* Folds 32 lanes held in vectors: 16, 8, 4, 2, 1. */
INLINE float fold(const vf *lanes) {
    vf l[32 / VW];
    UNROLL for (int i = 0; i < 32 / VW; i++) l[i] = lanes[i];
    UNROLL for (int n = 32 / VW / 2; n > 0; n /= 2) UNROLL for (int i = 0; i < n; i++) l[i] += l[i + n];
#if VW == 16
    float __attribute__((ext_vector_type(8))) eight = l[0].lo + l[0].hi;
    float __attribute__((ext_vector_type(4))) four = eight.lo + eight.hi;
#elif VW == 8
    float __attribute__((ext_vector_type(4))) four = l[0].lo + l[0].hi;
#else
    vf four = l[0];
#endif
    float __attribute__((ext_vector_type(2))) two = four.lo + four.hi;
    return two.x + two.y;
}

/* The greatest lane; none is NaN. */
INLINE float greatest(vf x) {
#if VW == 16
    float __attribute__((ext_vector_type(8))) eight = x.lo > x.hi ? x.lo : x.hi;
    float __attribute__((ext_vector_type(4))) four = eight.lo > eight.hi ? eight.lo : eight.hi;
#elif VW == 8
    float __attribute__((ext_vector_type(4))) four = x.lo > x.hi ? x.lo : x.hi;
#else
    vf four = x;
#endif
    float a = four.x > four.z ? four.x : four.z, b = four.y > four.w ? four.y : four.w;
    return a > b ? a : b;
}

INLINE float canonical_scalar(float x) {
    union {
        float value;
        uint32_t bits;
    } u = {x};
    return (u.bits & 0x7FFFFFFFu) > 0x7F800000u ? __builtin_nanf("") : x;
}

/* ROW of x, or of (x − shift)² where `squares` asks for it. A lane never holds −0, so adding +0 for a missing element changes nothing. */
INLINE float row_total(const float *x, size_t n, float shift, int squares) {
    float total = 0.0f;
    for (size_t start = 0; start < n; start += 256) {
        vf lane[32 / VW];
        UNROLL for (int v = 0; v < 32 / VW; v++) lane[v] = 0.0f;
        size_t end = start + 256 < n ? start + 256 : n;
        size_t i = start;
        for (; i + 32 <= end; i += 32)
            UNROLL for (int v = 0; v < 32 / VW; v++) {
                vf y = load(x + i + v * VW);
                if (squares) {
                    y -= shift;
                    y *= y;
                }
                lane[v] += y;
            }
        if (i < end)
            UNROLL for (int v = 0; v < 32 / VW; v++) {
                int part = (int)(end - i) - v * VW;
                if (part <= 0) break;
                vf y = load_part(x + i + v * VW, part);
                if (squares) {
                    y -= shift;
                    y *= y;
                    float t[VW];
                    store(t, y);
                    for (int l = part; l < VW; l++) t[l] = 0.0f;
                    y = load(t);
                }
                lane[v] += y;
            }
        total += fold(lane);
    }
    return canonical_scalar(total + 0.0f);
}

float FN(row_sum)(const float *x, size_t n) { return row_total(x, n, 0.0f, 0); }

/* The greatest (or least) of a row by rule 5; the order is free. */
INLINE float row_extreme(const float *x, size_t n, int largest) {
    float m = largest ? -INFINITY : INFINITY;
    vf best = m;
    vi bad = 0;
    size_t j = 0;
    for (; j + VW <= n; j += VW) {
        vf t = load(x + j);
        bad |= t != t;
        best = largest ? pick_one(t > best, t, best) : pick_one(t < best, t, best);
    }
    int invalid = __builtin_reduce_or(bad);
    float most = largest ? __builtin_reduce_max(best) : __builtin_reduce_min(best);
    if (largest ? most > m : most < m) m = most;
    for (; j < n; j++) {
        if (x[j] != x[j]) invalid = 1;
        if (largest ? x[j] > m : x[j] < m) m = x[j];
    }
    return invalid ? __builtin_nanf("") : m == 0 ? 0.0f : m;
}

float FN(row_extreme)(const float *x, size_t n, int largest) { return row_extreme(x, n, largest); }

void FN(column_row_sum)(int rows, int n, const float *x, size_t ldx, float *out) {
    for (int j = 0; j < n; j += VW) {
        int part = n - j < VW ? n - j : VW;
        vf total = 0.0f;
        for (int start = 0; start < rows; start += 256) {
            vf lane[32];
            for (int l = 0; l < 32; l++) lane[l] = 0.0f;
            int end = start + 256 < rows ? start + 256 : rows;
            for (int i = start; i < end; i++) lane[(i - start) & 31] += load_part(x + (size_t)i * ldx + (size_t)j, part);
            for (int width = 16; width >= 1; width /= 2)
                for (int l = 0; l < width; l++) lane[l] += lane[l + width];
            total += lane[0];
        }
        store_part(out + j, canonical(total + 0.0f), part);
    }
}

void FN(layer_norm)(int rows, int n, const float *x, size_t ldx, const float *gain, const float *bias, float epsilon,
                    float *y, size_t ldy) {
    for (int i = 0; i < rows; i++) {
        const float *row = x + (size_t)i * ldx;
        float *out = y + (size_t)i * ldy;
        float mean = row_total(row, (size_t)n, 0.0f, 0) / (float)n;
        float variance = row_total(row, (size_t)n, mean, 1) / (float)n;
        float inverse = 1.0f / sqrtf(variance + epsilon);
        int j = 0;
        for (; j + VW <= n; j += VW) store(out + j, canonical(fma_one((load(row + j) - mean) * inverse, load(gain + j), load(bias + j))));
        if (j < n) {
            vf d = load_part(row + j, n - j) - mean;
            store_part(out + j, canonical(fma_one(d * inverse, load_part(gain + j, n - j), load_part(bias + j, n - j))), n - j);
        }
    }
}

/* The softmax of a row in parts, so that those of several rows can be done side by side: scaled, with the maximum as the result; x and y may be the same. */
INLINE float softmax_most(const float *x, float *y, int n, float scale) {
    vf best = -INFINITY;
    vi bad = 0;
    int j = 0;
    for (; j + VW <= n; j += VW) {
        vf t = load(x + j) * scale;
        store(y + j, t);
        bad |= t != t;
        best = pick_one(t > best, t, best);
    }
    float m = -INFINITY;
    int invalid = 0;
    if (j < n) {
        vf t = canonical(load_part(x + j, n - j) * scale);
        store_part(y + j, t, n - j);
        for (int l = 0; l < n - j; l++) {
            if (t[l] != t[l]) invalid = 1;
            if (t[l] > m) m = t[l];
        }
    }
    /* No NaN is in `best`, and the order of a maximum is free. */
    float most = greatest(best);
    if (most > m) m = most;
    if (m == 0) m = 0.0f;
    return invalid || __builtin_reduce_or(bad) ? __builtin_nanf("") : m;
}

/* Exponentials of what is less the maximum. */
INLINE void softmax_exponentials(float *y, int n, float m) {
    int j = 0;
    for (; j + VU * VW <= n; j += VU * VW) store_many(y + j, exp_many(load_many(y + j) - m));
    for (; j + VW <= n; j += VW) store(y + j, exp_one(load(y + j) - m));
    if (j < n) store_part(y + j, exp_one(load_part(y + j, n - j) - m), n - j);
}

/* Times one over their ROW sum. */
INLINE void softmax_shares(float *y, int n, float inverse) {
    int j = 0;
    for (; j + VW <= n; j += VW) store(y + j, canonical(load(y + j) * inverse));
    if (j < n) store_part(y + j, canonical(load_part(y + j, n - j) * inverse), n - j);
}

/* Rows side by side in y, `apart` floats from one another, at most as many as a tile has: no row waits for what another is brought down to. */
INLINE void softmax_rows(int rows, float *y, size_t apart, int n, float scale) {
    float of[MR];
    for (int r = 0; r < rows; r++) of[r] = softmax_most(y + (size_t)r * apart, y + (size_t)r * apart, n, scale);
    for (int r = 0; r < rows; r++) softmax_exponentials(y + (size_t)r * apart, n, of[r]);
    for (int r = 0; r < rows; r++) of[r] = 1.0f / row_total(y + (size_t)r * apart, (size_t)n, 0.0f, 0);
    for (int r = 0; r < rows; r++) softmax_shares(y + (size_t)r * apart, n, of[r]);
}

INLINE void softmax_row(const float *x, float *y, int n, float scale) {
    float m = softmax_most(x, y, n, scale);
    softmax_exponentials(y, n, m);
    softmax_shares(y, n, 1.0f / row_total(y, (size_t)n, 0.0f, 0));
}

void FN(softmax)(int rows, int n, const int *extents, const float *x, size_t ldx, float scale, float *y, size_t ldy) {
    for (int i = 0; i < rows; i++) {
        int extent = extents ? extents[i] : n;
        float *out = y + (size_t)i * ldy;
        softmax_row(x + (size_t)i * ldx, out, extent, scale);
        for (int j = extent; j < n; j++) out[j] = 0.0f;
    }
}

INLINE void apply_array(pk_function function, size_t n, const float *x, float *y) {
    size_t i = 0;
    for (; i + VU * VW <= n; i += VU * VW) store_many(y + i, apply_many(function, load_many(x + i)));
    for (; i + VW <= n; i += VW) store(y + i, apply_one(function, load(x + i)));
    if (i < n) store_part(y + i, apply_one(function, load_part(x + i, (int)(n - i))), (int)(n - i));
}

#if defined(COMPRESS)
/* One vector of erf_array: the small half to y, the numbers that need the other one behind those that are held. */
INLINE uint16_t erf_begin(int gelu, vf t, vf *y, float *held, size_t *count) {
    vf a = gelu ? t * PK_INVERSE_ROOT_TWO : t;
    uint16_t mask = NOT_BELOW(magnitude_one(a), PK_ERF_SPLIT);
    vf s = erf_small_one(a);
    COMPRESS(held + *count, mask, t);
    *count += (size_t)__builtin_popcount(mask);
    /* No lane that is kept is NaN. */
    *y = gelu ? (0.5f * t) * (1.0f + s) : s;
    return mask;
}

/* erf, or gelu: the half for large numbers is computed only where it is needed, of numbers brought together. x may be y. */
INLINE void erf_array(int gelu, size_t n, const float *x, float *y) {
    enum { BLOCK = 128 };
    float held[BLOCK * VW + VU * VW];
    uint16_t masks[BLOCK];
    for (size_t start = 0; start < n; start += BLOCK * VW, x += BLOCK * VW, y += BLOCK * VW) {
        size_t count = 0, i = 0;
        size_t end = n - start < BLOCK * VW ? n - start : BLOCK * VW;
        size_t whole = end / VW * VW;
        vf out;
        for (; i < whole; i += VW) {
            masks[i / VW] = erf_begin(gelu, load(x + i), &out, held, &count);
            store(y + i, out);
        }
        if (i < end) {
            masks[i / VW] = erf_begin(gelu, load_part(x + i, (int)(end - i)), &out, held, &count);
            store_part(y + i, out, (int)(end - i));
        }
        if (count == 0) continue;
        for (size_t v = 0; v < VU; v++) store(held + count + v * VW, (vf)0.0f);
        for (i = 0; i < count; i += VU * VW) {
            UNROLL for (int v = 0; v < VU; v++) {
                vf t = load(held + i + v * VW);
                vf e = erf_large_one(gelu ? t * PK_INVERSE_ROOT_TWO : t);
                store(held + i + v * VW, canonical(gelu ? (0.5f * t) * (1.0f + e) : e));
            }
        }
        const float *from = held;
        for (i = 0; i < whole; i += VW) {
            uint16_t mask = masks[i / VW];
            store(y + i, MERGE(load(y + i), mask, from));
            from += __builtin_popcount(mask);
        }
        if (i < end) EXPAND(y + i, masks[i / VW], from);
    }
}
#else
INLINE void erf_array(int gelu, size_t n, const float *x, float *y) { apply_array(gelu ? PK_GELU_FN : PK_ERF, n, x, y); }
#endif

/* Blocks small enough that what needs the reference is looked for while it is in the first-level cache; x may be y, so it is looked for first. */
INLINE void circular_array(pk_function function, size_t n, const float *x, float *y) {
    for (size_t start = 0; start < n; start += 256) {
        int count = (int)(n - start < 256 ? n - start : 256);
        int large = 0;
        for (int i = 0; i < count; i += VW) {
            vf a = magnitude_one(load_part(x + start + i, count - i));
            large |= __builtin_reduce_or(~(a < PK_CIRCULAR_FAST));
        }
        if (large == 0) {
            apply_array(function, (size_t)count, x + start, y + start);
        } else {
            for (int i = 0; i < count; i++) y[start + (size_t)i] = pk_ref_unary(function, x[start + (size_t)i]);
        }
    }
}

void FN(unary)(pk_function function, size_t n, const float *x, float *y) {
    switch (function) {
    case PK_EXP: apply_array(PK_EXP, n, x, y); return;
    case PK_LOG: apply_array(PK_LOG, n, x, y); return;
    case PK_TANH: apply_array(PK_TANH, n, x, y); return;
    case PK_ERF: erf_array(0, n, x, y); return;
    case PK_SIN: circular_array(PK_SIN, n, x, y); return;
    case PK_COS: circular_array(PK_COS, n, x, y); return;
    case PK_SQRT: apply_array(PK_SQRT, n, x, y); return;
    case PK_GELU_FN: erf_array(1, n, x, y); return;
    case PK_RSQRT: apply_array(PK_RSQRT, n, x, y); return;
    case PK_SIGMOID: apply_array(PK_SIGMOID, n, x, y); return;
    case PK_SILU: apply_array(PK_SILU, n, x, y); return;
    case PK_RELU: apply_array(PK_RELU, n, x, y); return;
    }
}
