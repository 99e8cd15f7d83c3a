/* Contractions in SEG order: packing, the register tile, epilogues, and attention made of them. */

/* VW vectors of VW lanes, rows for columns, by exchanging ever larger blocks: log₂ VW rounds. */
#if VW == 16
#define TAKE(f, h)                                                                                                     \
    f(0, h), f(1, h), f(2, h), f(3, h), f(4, h), f(5, h), f(6, h), f(7, h), f(8, h), f(9, h), f(10, h), f(11, h),      \
        f(12, h), f(13, h), f(14, h), f(15, h)
#elif VW == 8
#define TAKE(f, h) f(0, h), f(1, h), f(2, h), f(3, h), f(4, h), f(5, h), f(6, h), f(7, h)
#else
#define TAKE(f, h) f(0, h), f(1, h), f(2, h), f(3, h)
#endif
#define UPPER(l, h) (((l) & (h)) ? VW + (l) - (h) : (l))
#define LOWER(l, h) (((l) & (h)) ? VW + (l) : (l) + (h))
#define EXCHANGE(r, h)                                                                                                 \
    UNROLL for (int i = 0; i < VW; i++) if (!(i & h)) {                                                                \
        vf a = r[i], b = r[i + h];                                                                                     \
        r[i] = __builtin_shufflevector(a, b, TAKE(UPPER, h));                                                          \
        r[i + h] = __builtin_shufflevector(a, b, TAKE(LOWER, h));                                                      \
    }

INLINE void transpose(vf r[VW]) {
    EXCHANGE(r, 1)
    EXCHANGE(r, 2)
#if VW >= 8
    EXCHANGE(r, 4)
#endif
#if VW >= 16
    EXCHANGE(r, 8)
#endif
}

/* r[i][j] = b[j·ldb + i] for i < part and j < columns, zero beyond both. */
INLINE void load_turned(int columns, int part, const float *b, size_t ldb, vf r[VW]) {
    UNROLL for (int j = 0; j < VW; j++) {
        if (j < columns) r[j] = load_part(b + (size_t)j * ldb, part);
        else r[j] = 0.0f;
    }
    transpose(r);
}

/* out[i·ldo + j] = b[j·ldb + i] for i < depth and j < VW; columns from `columns` on are zero. */
static void turn(int columns, int depth, const float *b, size_t ldb, float *out, size_t ldo) {
    for (int i = 0; i < depth; i += VW) {
        int part = depth - i < VW ? depth - i : VW;
        vf r[VW];
        load_turned(columns, part, b + i, ldb, r);
        if (part == VW) {
            UNROLL for (int l = 0; l < VW; l++) store(out + (size_t)(i + l) * ldo, r[l]);
        } else {
            for (int l = 0; l < part; l++) store(out + (size_t)(i + l) * ldo, r[l]);
        }
    }
}

int FN(panel_columns)(void) { return NP; }

size_t FN(pack_size)(int n, int k) { return (size_t)((n + NP - 1) / NP) * NP * (size_t)(k > 0 ? k : 1); }

/* Panels of NP columns, k-major, zero beyond n. */
void FN(pack)(int n, int k, const float *b, size_t ldb, float *packed) {
    for (int j = 0; j < n; j += NP)
        for (int v = 0; v < NP; v += VW) {
            int columns = n - j - v < 0 ? 0 : n - j - v < VW ? n - j - v : VW;
            turn(columns, k, columns > 0 ? b + (size_t)(j + v) * ldb : b, ldb, packed + (size_t)j * (size_t)k + v, NP);
        }
}

/* With term i the line at ahead + i·pace is asked for; a pace of nought asks for nothing. */
INLINE void ask(const float *ahead, size_t pace, int i) {
    if (pace) __builtin_prefetch(ahead + (size_t)i * pace, 0, 2);
}

/* One tile of `rows` by `vectors` (constants where it is called): b is k-major with stride ldb, and `vectors` past `near` lie `apart` floats
   further on; `step` is between successive k of a row of a. The sums, before any epilogue, go to tile[row·vectors + vector]. */
INLINE void multiply(const int rows, const int vectors, const int near, size_t apart, int k, const float *a, size_t lda,
                     size_t step, const float *b, size_t ldb, const float *ahead, size_t pace, vf *tile) {
    for (int start = 0; start < k || start == 0; start += 256) {
        int end = start + 256 < k ? start + 256 : k;
        vf acc[MR * NV];
        UNROLL for (int t = 0; t < rows * vectors; t++) acc[t] = 0.0f;
        for (int i = start; i < end; i++) {
            const float *line = b + (size_t)i * ldb;
            vf w[2 * NV];
            ask(ahead, pace, i);
            UNROLL for (int v = 0; v < vectors; v++) {
                const float *p = v < near ? line + v * VW : line + apart + (v - near) * VW;
                w[v] = load(p);
                if (v * VW % 16 == 0) __builtin_prefetch(p + 16 * ldb);
            }
            UNROLL for (int r = 0; r < rows; r++) {
                vf x = a[(size_t)r * lda + (size_t)i * step];
                UNROLL for (int v = 0; v < vectors; v++) acc[r * vectors + v] = fma_one(x, w[v], acc[r * vectors + v]);
            }
        }
        UNROLL for (int t = 0; t < rows * vectors; t++) tile[t] = start == 0 ? acc[t] : tile[t] + acc[t];
    }
    UNROLL for (int t = 0; t < rows * vectors; t++) tile[t] = canonical(tile[t] + 0.0f);
}

/* The chains of `count` terms of one segment; the lines of b are `ldb` apart. */
INLINE void partial(const int rows, const int vectors, int count, const float *a, size_t lda, size_t step, const float *b,
                    size_t ldb, const float *ahead, size_t pace, vf *out) {
    vf acc[MR * NV];
    UNROLL for (int t = 0; t < rows * vectors; t++) acc[t] = 0.0f;
    for (int i = 0; i < count; i++) {
        const float *line = b + (size_t)i * ldb;
        vf w[NV];
        ask(ahead, pace, i);
        UNROLL for (int v = 0; v < vectors; v++) {
            w[v] = load(line + v * VW);
            if (v * VW % 16 == 0) __builtin_prefetch(line + 16 * ldb + v * VW);
        }
        UNROLL for (int r = 0; r < rows; r++) {
            vf x = a[(size_t)r * lda + (size_t)i * step];
            UNROLL for (int v = 0; v < vectors; v++) acc[r * vectors + v] = fma_one(x, w[v], acc[r * vectors + v]);
        }
    }
    UNROLL for (int t = 0; t < rows * vectors; t++) out[t] = acc[t];
}

/* As multiply, one panel, with the sums going from registers to c: + a bias a column where there is one. */
INLINE void multiply_out(const int rows, const int vectors, int columns, int k, const float *a, size_t lda, size_t step,
                         const float *panel, const float *ahead, size_t pace, const float *bias, float *c, size_t ldc) {
    vf acc[MR * NV], total[MR * NV];
    int start = 0;
    for (; start + 256 < k; start += 256) {
        partial(rows, vectors, 256, a + (size_t)start * step, lda, step, panel + (size_t)start * NP, NP,
                ahead + (size_t)start * pace, pace, acc);
        UNROLL for (int t = 0; t < rows * vectors; t++) total[t] = start == 0 ? acc[t] : total[t] + acc[t];
    }
    partial(rows, vectors, k - start, a + (size_t)start * step, lda, step, panel + (size_t)start * NP, NP,
            ahead + (size_t)start * pace, pace, acc);
    if (start > 0) UNROLL for (int t = 0; t < rows * vectors; t++) acc[t] = total[t] + acc[t];
    UNROLL for (int t = 0; t < rows * vectors; t++) acc[t] = acc[t] + 0.0f;
    if (bias)
        UNROLL for (int v = 0; v < vectors; v++) {
            vf b = load_part(bias + v * VW, columns - v * VW);
            UNROLL for (int r = 0; r < rows; r++) acc[r * vectors + v] += b;
        }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < vectors; v++) acc[r * vectors + v] = canonical(acc[r * vectors + v]);
    if (columns == vectors * VW) {
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int v = 0; v < vectors; v++) store(c + (size_t)r * ldc + v * VW, acc[r * vectors + v]);
    } else {
        for (int r = 0; r < rows; r++)
            UNROLL for (int v = 0; v < vectors; v++)
                if (v * VW < columns) store_part(c + (size_t)r * ldc + v * VW, acc[r * vectors + v], columns - v * VW);
    }
}

INLINE pk_function activation_function(pk_activation activation) {
    switch (activation) {
    case PK_NONE: break;
    case PK_GELU: return PK_GELU_FN;
    case PK_RELU_ACTIVATION: break;
    case PK_TANH_ACTIVATION: return PK_TANH;
    case PK_SILU_ACTIVATION: return PK_SILU;
    }
    return PK_RELU;
}

INLINE void activate(pk_function function, int count, vf *tile) {
    for (int t = 0; t < count; t += VU) store_many((float *)(tile + t), apply_many(function, load_many((float *)(tile + t))));
}

/* A whole tile with a bias and a residual where there are such. `vectors` is a constant where it is called. */
INLINE void store_whole(int rows, const int vectors, const vf *tile, const float *bias, const float *residual, size_t ldr, float *c, size_t ldc) {
    vf b[NV];
    if (bias) UNROLL for (int v = 0; v < vectors; v++) b[v] = load(bias + v * VW);
    for (int r = 0; r < rows; r++, tile += vectors)
        UNROLL for (int v = 0; v < vectors; v++) {
            vf y = tile[v];
            if (bias) y = canonical(y + b[v]);
            if (residual) y = canonical(y + load(residual + (size_t)r * ldr + v * VW));
            store(c + (size_t)r * ldc + v * VW, y);
        }
}

/* Bias, activation, residual, each rounded by itself, and the store. `c` and what the epilogue names start at the tile. */
static void finish(int rows, int vectors, int columns, vf *tile, const pk_epilogue *e, float *c, size_t ldc) {
    int plain = e->activation == PK_NONE, whole = columns >= vectors * VW;
    if (whole && plain && vectors == NV) return store_whole(rows, NV, tile, e->bias, e->residual, e->ldr, c, ldc);
    if (e->bias)
        for (int v = 0; v < vectors && v * VW < columns; v++) {
            vf b = load_part(e->bias + v * VW, columns - v * VW);
            for (int r = 0; r < rows; r++) tile[r * vectors + v] = canonical(tile[r * vectors + v] + b);
        }
    switch (e->activation) {
    case PK_NONE: break;
    case PK_GELU: activate(PK_GELU_FN, rows * vectors, tile); break;
    case PK_RELU_ACTIVATION: activate(PK_RELU, rows * vectors, tile); break;
    case PK_TANH_ACTIVATION: activate(PK_TANH, rows * vectors, tile); break;
    case PK_SILU_ACTIVATION: activate(PK_SILU, rows * vectors, tile); break;
    }
    if (whole && vectors == NV) return store_whole(rows, NV, tile, NULL, e->residual, e->ldr, c, ldc);
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors && v * VW < columns; v++) {
            int part = columns - v * VW;
            vf y = tile[r * vectors + v];
            if (e->residual) y = canonical(y + load_part(e->residual + (size_t)r * e->ldr + (size_t)(v * VW), part));
            store_part(c + (size_t)r * ldc + (size_t)(v * VW), y, part);
        }
}

/* Rows as whole numbers of eight bits. Magnitudes are compared as integers; rows that hold NaN or what is not finite are the reference's. */
void FN(round_rows)(int rows, int n, const float *x, size_t ldx, int8_t *q, size_t ldq, float *scale, float *top, int32_t *place) {
    typedef int8_t vc __attribute__((ext_vector_type(VW), aligned(1)));
    for (int i = 0; i < rows; i++) {
        const float *row = x + (size_t)i * ldx;
        int8_t *to = q + (size_t)i * ldq;
        /* The two greatest of each lane; lanes that are missing read as zero. */
        vi most[2] = {0, 0}, second[2] = {0, 0};
        int j = 0;
        for (; j + 2 * VW <= n; j += 2 * VW)
            UNROLL for (int v = 0; v < 2; v++) {
                vi a = (vi)load(row + j + v * VW) & 0x7FFFFFFF;
                second[v] = __builtin_elementwise_max(second[v], __builtin_elementwise_min(most[v], a));
                most[v] = __builtin_elementwise_max(most[v], a);
            }
        for (; j < n; j += VW) {
            vi a = (vi)load_part(row + j, n - j) & 0x7FFFFFFF;
            second[0] = __builtin_elementwise_max(second[0], __builtin_elementwise_min(most[0], a));
            most[0] = __builtin_elementwise_max(most[0], a);
        }
        second[0] = __builtin_elementwise_max(__builtin_elementwise_max(second[0], second[1]), __builtin_elementwise_min(most[0], most[1]));
        most[0] = __builtin_elementwise_max(most[0], most[1]);
        int32_t greatest = __builtin_reduce_max(most[0]);
        /* The greatest again where several lanes have it. */
        vi holds = most[0] == greatest;
        union {
            int32_t bits;
            float value;
        } of_greatest = {greatest}, amax = {__builtin_reduce_add(holds) < -1 ? greatest : __builtin_reduce_max(holds ? second[0] : most[0])};
        float r = 0.0f < amax.value ? 127.0f / amax.value : 0.0f;
        if (greatest >= 0x7F800000 || !(r < INFINITY)) {
            pk_ref_round_rows(1, n, row, ldx, to, ldq, scale + i, top + i, place + i);
            continue;
        }
        int first = 0;
        for (; first + VW <= n; first += VW)
            if (__builtin_reduce_or(((vi)load(row + first) & 0x7FFFFFFF) == greatest)) break;
        while (__builtin_fabsf(row[first]) != of_greatest.value) first++;
        scale[i] = amax.value / 127.0f;
        top[i] = row[first];
        place[i] = first;
        /* But for the greatest, nothing is beyond 127 by more than a rounding. The sum's lowest bits are the nearest whole number, ties to even. */
        for (j = 0; j + VW <= n; j += VW) {
            vi words = (vi)(load(row + j) * r + PK_ROUND);
            *(vc *)(to + j) = __builtin_convertvector(words, vc);
        }
        if (j < n) {
            vc words = __builtin_convertvector((vi)(load_part(row + j, n - j) * r + PK_ROUND), vc);
            memcpy(to + j, &words, (size_t)(n - j));
        }
        to[first] = 0;
    }
}

/* Rows as whole numbers of fifteen bits in two halves; rows of numbers so small that their power has no inverse, and those that are not finite, are the
   reference's. */
void FN(halve_rows)(int rows, int n, const float *x, size_t ldx, int8_t *high, int8_t *low, size_t ldq, float *power) {
    typedef int8_t vc __attribute__((ext_vector_type(VW), aligned(1)));
    for (int i = 0; i < rows; i++) {
        const float *row = x + (size_t)i * ldx;
        int8_t *up = high + (size_t)i * ldq, *down = low + (size_t)i * ldq;
        vi most[2] = {0, 0};
        int j = 0;
        for (; j + 2 * VW <= n; j += 2 * VW)
            UNROLL for (int v = 0; v < 2; v++) most[v] = __builtin_elementwise_max(most[v], (vi)load(row + j + v * VW) & 0x7FFFFFFF);
        for (; j < n; j += VW) most[0] = __builtin_elementwise_max(most[0], (vi)load_part(row + j, n - j) & 0x7FFFFFFF);
        int32_t greatest = __builtin_reduce_max(__builtin_elementwise_max(most[0], most[1]));
        if (greatest >= 0x7F800000 || greatest < (127 - 112) << 23) {
            pk_ref_halve_rows(1, n, row, ldx, up, down, ldq, power + i);
            continue;
        }
        /* As in the reference. From 2⁻¹¹² on e is at least −111, so that both powers are normal numbers. */
        int e = ((greatest + 0x203FF) >> 23) - 126;
        union {
            int32_t bits;
            float value;
        } scale = {(e - 14 + 127) << 23}, inverse = {(14 - e + 127) << 23};
        power[i] = scale.value;
        /* The sum's lowest bits are the nearest whole number, ties to even. */
        for (j = 0; j < n; j += VW) {
            vi words = (vi)(load_part(row + j, n - j) * inverse.value + PK_ROUND) + 64;
            vc upper = __builtin_convertvector(words >> 7, vc), lower = __builtin_convertvector((words & 127) - 64, vc);
            if (j + VW <= n) {
                *(vc *)(up + j) = upper;
                *(vc *)(down + j) = lower;
            } else {
                memcpy(up + j, &upper, (size_t)(n - j));
                memcpy(down + j, &lower, (size_t)(n - j));
            }
        }
    }
}

/* One row of sums with their scales, what stands apart, a bias where there is one and what is added where there is no activation between. A NaN's form is nobody's
   business before the last step. */
INLINE void scaled(int n, const int32_t *sums, const int32_t *right, float scale, float top, const float *columns, const float *bias,
                   const float *residual, float *c) {
    typedef int32_t viu __attribute__((ext_vector_type(VW), aligned(4)));
    int j = 0;
    for (; j + VW <= n; j += VW) {
        vf apart = top * __builtin_convertvector(*(const viu *)(right + j), vf);
        vf y = fma_one(__builtin_convertvector(*(const viu *)(sums + j), vf), scale, apart) * load(columns + j);
        if (bias) y += load(bias + j);
        if (residual) y += load(residual + j);
        store(c + j, canonical(y));
    }
    if (j < n) {
        int part = n - j;
        vi words = (vi)load_part((const float *)(const void *)(sums + j), part);
        vi of = (vi)load_part((const float *)(const void *)(right + j), part);
        vf apart = top * __builtin_convertvector(of, vf);
        vf y = fma_one(__builtin_convertvector(words, vf), scale, apart) * load_part(columns + j, part);
        if (bias) y += load_part(bias + j, part);
        if (residual) y += load_part(residual + j, part);
        store_part(c + j, canonical(y), part);
    }
}

void FN(scale_row)(int n, const int32_t *sums, const int32_t *right, float scale, float top, const float *columns, const pk_epilogue *e,
                   float *c) {
    if (e->activation == PK_NONE) {
        scaled(n, sums, right, scale, top, columns, e->bias, e->residual, c);
        return;
    }
    scaled(n, sums, right, scale, top, columns, e->bias, NULL, c);
    FN(unary)(activation_function(e->activation), (size_t)n, c, c);
    if (e->residual)
        for (int j = 0; j < n; j += VW) store_part(c + j, canonical(load_part(c + j, n - j) + load_part(e->residual + j, n - j)), n - j);
}

/* A vector of one row of a product of halves. The sum is below 2⁴⁶, so that it and all its parts are whole numbers of a double; only the step to f32 rounds. */
INLINE vf of_halves(const pk_half_sums *s, int j, int part, float inner, float outer, const float *columns) {
    typedef double vd __attribute__((ext_vector_type(VW)));
#define DOUBLES(sums) __builtin_convertvector((vi)load_part((const float *)(const void *)((sums) + j), part), vd)
    vd total = DOUBLES(s->hh) * 16384.0 + ((DOUBLES(s->hl) + DOUBLES(s->lh)) * 128.0 + DOUBLES(s->ll));
#undef DOUBLES
    vf column = load_part(columns + j, part);
    vi small = column < 0x1p-50f, usual = column < 0x1p50f;
    vf within = column * pick_one(small, (vf)0x1p63f, pick_one(usual, (vf)1.0f, (vf)0x1p-63f));
    vf beyond = pick_one(small, (vf)0x1p-63f, pick_one(usual, (vf)1.0f, (vf)0x1p63f));
    return __builtin_convertvector(total, vf) * (inner * within) * (outer * beyond);
}

/* A NaN's form is nobody's business before the last step. */
void FN(scale_halves)(int n, const pk_half_sums *sums, float power, const float *columns, const pk_epilogue *e, float *c) {
    /* A power in two parts, as in the reference. */
    const float outer = power < 0x1p-50f ? 0x1p-63f : power < 0x1p50f ? 1.0f : 0x1p63f;
    const float inner = power * (power < 0x1p-50f ? 0x1p63f : power < 0x1p50f ? 1.0f : 0x1p-63f);
    const int plain = e->activation == PK_NONE;
    for (int j = 0; j < n; j += VW) {
        vf y = of_halves(sums, j, n - j, inner, outer, columns);
        if (e->bias) y += load_part(e->bias + j, n - j);
        if (plain && e->residual) y += load_part(e->residual + j, n - j);
        store_part(c + j, canonical(y), n - j);
    }
    if (plain) return;
    FN(unary)(activation_function(e->activation), (size_t)n, c, c);
    if (e->residual)
        for (int j = 0; j < n; j += VW) store_part(c + j, canonical(load_part(c + j, n - j) + load_part(e->residual + j, n - j)), n - j);
}

/* Tiles of every height, so that ragged row counts cost what they compute. */
#define EACH_HEIGHT(CASE)                                                                                              \
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#define EACH_LOW_HEIGHT(CASE) CASE(1) CASE(2) CASE(3)
#if MR == 8
#define EACH_HIGH_HEIGHT(CASE) CASE(7) CASE(8)
#define FOURTH(CASE) CASE(4)
#else
#define EACH_HIGH_HEIGHT(CASE)
#define FOURTH(CASE)
#endif

/* What is done for a tile's height and width, both constants there: BODY(rows, vectors). */
#define ONE_WIDE(R) case R: BODY(R, 1); break;
#define TWO_WIDE(R) case R: BODY(R, 2); break;
#define ALL_WIDE(R) case R: BODY(R, NV); break;
#define EACH_SIZE(rows, vectors)                                                                                       \
    switch (vectors) {                                                                                                 \
    case 1: switch (rows) { EACH_HEIGHT(ONE_WIDE) EACH_HIGH_HEIGHT(ONE_WIDE) } break;                                  \
    case 2: switch (rows) { EACH_HEIGHT(TWO_WIDE) EACH_HIGH_HEIGHT(TWO_WIDE) } break;                                  \
    default: switch (rows) { EACH_HEIGHT(ALL_WIDE) EACH_HIGH_HEIGHT(ALL_WIDE) } break;                                 \
    }

/* Vectors that a panel's columns fill; the last panel of a matrix is seldom full, and its padding need not be computed. */
INLINE int filled(int columns) {
    int vectors = (columns + VW - 1) / VW;
    return vectors <= 2 ? vectors : NV;
}

/* One panel. */
static void panel_tile(int rows, int vectors, int k, const float *a, size_t lda, const float *panel, const float *ahead, size_t pace,
                       vf *tile) {
#define BODY(R, V) multiply(R, V, V, 0, k, a, lda, 1, panel, NP, ahead, pace, tile)
    EACH_SIZE(rows, vectors)
#undef BODY
}

static void panel_out(int rows, int columns, int k, const float *a, size_t lda, const float *panel, const float *ahead, size_t pace,
                      const float *bias, float *c, size_t ldc) {
#define BODY(R, V) multiply_out(R, V, columns, k, a, lda, 1, panel, ahead, pace, bias, c, ldc)
    EACH_SIZE(rows, filled(columns))
#undef BODY
}

/* Two panels side by side for at most half the rows: as many chains in flight as a full tile has. */
static void twin_tile(int rows, int k, const float *a, size_t lda, const float *panel, vf *tile) {
    switch (rows) {
#define CASE(R) case R: multiply(R, 2 * NV, NV, (size_t)k * NP, k, a, lda, 1, panel, NP, NULL, 0, tile); break;
        EACH_LOW_HEIGHT(CASE) FOURTH(CASE)
#undef CASE
    }
}

/* The height of the tile at row i of m: as even as can be, at most MR. */
INLINE int height(int i, int m) {
    int left = m - i;
    int tiles = (left + MR - 1) / MR;
    return (left + tiles - 1) / tiles;
}

INLINE pk_epilogue shifted(const pk_epilogue *e, int i, int j) {
    pk_epilogue s = *e;
    if (s.bias) s.bias += j;
    if (s.residual) s.residual += (size_t)i * s.ldr + (size_t)j;
    return s;
}

void FN(contract)(int m, int n, int k, const float *a, size_t lda, const float *packed, float *c, size_t ldc,
                  const pk_epilogue *e) {
    static const pk_epilogue nothing = {0};
    if (!e) e = &nothing;
    vf tile[MR * NV];
    for (int t = 0; t < MR * NV; t++) tile[t] = 0.0f;
    int plain = e->activation == PK_NONE && !e->residual;
    int j = 0;
    if (m <= MR / 2)
        for (; j + NP < n; j += 2 * NP) {
            pk_epilogue s = shifted(e, 0, j);
            twin_tile(m, k, a, lda, packed + (size_t)j * (size_t)k, tile);
            finish(m, 2 * NV, n - j < 2 * NP ? n - j : 2 * NP, tile, &s, c + j, ldc);
        }
    for (; j < n; j += NP) {
        const float *panel = packed + (size_t)j * (size_t)k;
        int columns = n - j < NP ? n - j : NP;
        int vectors = filled(columns);
        /* The last NP tiles ask for the next panel, each for its part: where it comes from memory, its first tile would else wait for it. */
        int tiles = (m + MR - 1) / MR;
        const float *ahead = panel + (size_t)k * NP;
        const size_t share = tiles < NP ? (size_t)((NP + tiles - 1) / tiles) : 1;
        for (int i = 0; i < m; tiles--) {
            int rows = height(i, m);
            size_t pace = tiles > NP ? 0 : share;
            if (plain) {
                panel_out(rows, columns, k, a + (size_t)i * lda, lda, panel, ahead, pace, e->bias ? e->bias + j : NULL,
                          c + (size_t)i * ldc + (size_t)j, ldc);
            } else {
                pk_epilogue s = shifted(e, i, j);
                panel_tile(rows, vectors, k, a + (size_t)i * lda, lda, panel, ahead, pace, tile);
                finish(rows, vectors, columns, tile, &s, c + (size_t)i * ldc + (size_t)j, ldc);
            }
            ahead += (size_t)k * pace;
            i += rows;
        }
    }
}

/* One panel where each row has its own extent: the terms that all rows have, then those of the longer ones row by row. */
static void ragged_tile(int rows, int vectors, const int *extents, const float *a, size_t lda, size_t step, const float *panel,
                        vf *tile) {
    int most = 0, least = extents[0];
    for (int r = 0; r < rows; r++) {
        if (extents[r] > most) most = extents[r];
        if (extents[r] < least) least = extents[r];
    }
    if (most == least) {
#define BODY(R, V) multiply(R, V, V, 0, most, a, lda, step, panel, NP, NULL, 0, tile)
        EACH_SIZE(rows, vectors)
#undef BODY
        return;
    }
    vf total[MR * NV];
    for (int t = 0; t < rows * vectors; t++) total[t] = 0.0f;
    vf acc[MR * NV];
    for (int start = 0; start < most; start += 256) {
        int end = start + 256 < most ? start + 256 : most;
        int all = least < start ? start : least < end ? least : end;
        const float *from = a + (size_t)start * step;
        const float *lines = panel + (size_t)start * NP;
#define BODY(R, V) partial(R, V, all - start, from, lda, step, lines, NP, NULL, 0, acc)
        EACH_SIZE(rows, vectors)
#undef BODY
        for (int i = all; i < end; i++) {
            const float *line = panel + (size_t)i * NP;
            for (int r = 0; r < rows; r++) {
                if (i >= extents[r]) continue;
                vf x = a[(size_t)r * lda + (size_t)i * step];
                for (int v = 0; v < vectors; v++) acc[r * vectors + v] = fma_one(x, load(line + v * VW), acc[r * vectors + v]);
            }
        }
        for (int t = 0; t < rows * vectors; t++) total[t] = total[t] + acc[t];
    }
    for (int t = 0; t < rows * vectors; t++) tile[t] = canonical(total[t] + 0.0f);
}

/* Rows whose terms lie apart are brought together, so many of them and a segment at a time: as they lie, each term of a few rows costs a
   cache line, and lines a power of two apart push one another out. */
#define TOGETHER (2 * MR)

/* The chains of one segment of `count` terms for rows that lie together, added to the totals in c. */
INLINE void add_segment(const int rows, const int vectors, int columns, int count, const float *held, const float *lines, int begins,
                        int ends, float *c, size_t ldc) {
    vf acc[MR * NV];
    partial(rows, vectors, count, held, 1, TOGETHER, lines, NP, NULL, 0, acc);
    if (columns == vectors * VW) {
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int v = 0; v < vectors; v++) {
                float *to = c + (size_t)r * ldc + v * VW;
                vf total = acc[r * vectors + v];
                if (!begins) total = load(to) + total;
                if (ends) total = canonical(total + 0.0f);
                store(to, total);
            }
        return;
    }
    for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < vectors; v++) {
            float *to = c + (size_t)r * ldc + v * VW;
            int part = columns - v * VW;
            if (part <= 0) continue;
            vf total = acc[r * vectors + v];
            if (!begins) total = load_part(to, part) + total;
            if (ends) total = canonical(total + 0.0f);
            store_part(to, total, part);
        }
}

/* One segment of all rows: `lines` are its terms in panels `apart` floats from one another. */
static void add_segments(int m, int n, int count, const float *a, size_t lda, size_t step, const float *lines, size_t apart, int begins,
                         int ends, float *c, size_t ldc) {
    float held[256 * TOGETHER] __attribute__((aligned(64)));
    for (int i = 0; i < m; i += TOGETHER) {
        int most = m - i < TOGETHER ? m - i : TOGETHER;
        for (int t = 0; t < count; t++) {
            const float *from = a + (size_t)i * lda + (size_t)t * step;
            float *to = held + t * TOGETHER;
            if (lda == 1 && most == TOGETHER) {
                UNROLL for (int r = 0; r < TOGETHER; r += 4) memcpy(to + r, from + r, 4 * sizeof(float));
            } else {
                for (int r = 0; r < most; r++) to[r] = from[(size_t)r * lda];
            }
        }
        for (int j = 0; j < n; j += NP) {
            const float *panel = lines + (size_t)(j / NP) * apart;
            int columns = n - j < NP ? n - j : NP;
            for (int above = 0; above < most;) {
                int rows = height(above, most);
                float *to = c + (size_t)(i + above) * ldc + (size_t)j;
#define BODY(R, V) add_segment(R, V, columns, count, held + above, panel, begins, ends, to, ldc)
                EACH_SIZE(rows, filled(columns))
#undef BODY
                above += rows;
            }
        }
    }
}

/* A left side whose rows are no runs of memory: segment by segment, with the totals in c. */
static void contract_apart(int m, int n, int k, const float *a, size_t lda, size_t step, const float *packed, float *c, size_t ldc) {
    for (int start = 0; start < k; start += 256) {
        int count = k - start < 256 ? k - start : 256;
        add_segments(m, n, count, a + (size_t)start * step, lda, step, packed + (size_t)start * NP, (size_t)k * NP, start == 0,
                     start + 256 >= k, c, ldc);
    }
}

/* As contract, for a left side with `step` between successive k; row i takes the first extents[i] terms, or all k where there are none. */
void FN(contract_strided)(int m, int n, int k, const int *extents, const float *a, size_t lda, size_t step,
                          const float *packed, float *c, size_t ldc) {
    static const pk_epilogue nothing = {0};
    if (!extents && step != 1 && k > 0) {
        contract_apart(m, n, k, a, lda, step, packed, c, ldc);
        return;
    }
    vf tile[MR * NV];
    for (int t = 0; t < MR * NV; t++) tile[t] = 0.0f;
    for (int j = 0; j < n; j += NP) {
        const float *panel = packed + (size_t)j * (size_t)k;
        int columns = n - j < NP ? n - j : NP;
        int vectors = filled(columns);
        for (int i = 0; i < m;) {
            int rows = height(i, m);
            const float *from = a + (size_t)i * lda;
            if (extents) ragged_tile(rows, vectors, extents + i, from, lda, step, panel, tile);
            else panel_tile(rows, vectors, k, from, lda, panel, NULL, 0, tile);
            finish(rows, vectors, columns, tile, &nothing, c + (size_t)i * ldc + (size_t)j, ldc);
            i += rows;
        }
    }
}

/* Packs a right side that is k-major: element (j, i) lies at b[i·ldb + j]. */
void FN(pack_turned)(int n, int k, const float *b, size_t ldb, float *packed) {
    for (int j = 0; j < n; j += NP) {
        int columns = n - j < NP ? n - j : NP;
        float *panel = packed + (size_t)j * (size_t)k;
        for (int i = 0; i < k; i++) {
            float *line = panel + (size_t)i * NP;
            memcpy(line, b + (size_t)i * ldb + (size_t)j, (size_t)columns * sizeof(float));
            if (columns < NP) memset(line + columns, 0, (size_t)(NP - columns) * sizeof(float));
        }
    }
}

/* Between panels of a segment: some more than it takes, so that the same term of all panels is not in the same few lines of the cache. */
#define APART (256 * NP + 80)

size_t FN(outer_scratch)(int n) { return (size_t)((n + NP - 1) / NP) * APART; }

/* Both sides as they lie: a segment of the right side is packed when it is needed, so that it is still in the cache. */
void FN(contract_outer)(int m, int n, int k, const float *a, size_t lda, size_t step, const float *b, size_t ldb, size_t apart, float *c,
                        size_t ldc, float *scratch) {
    for (int start = 0; start < k || start == 0; start += 256) {
        int count = k - start < 256 ? k - start : 256;
        for (int t = 0; t < count && apart != 1; t++) {
            /* A row after the other: they are runs of memory, as columns are not. */
            const float *from = b + (size_t)(start + t) * apart;
            float *line = scratch + t * NP;
            for (int j = 0; j < n; j += NP, line += APART) {
                if (n - j >= NP) {
                    UNROLL for (int v = 0; v < NV; v++) store(line + v * VW, load(from + j + v * VW));
                } else {
                    for (int v = 0; v < NV; v++) {
                        int part = n - j - v * VW;
                        store(line + v * VW, part > 0 ? load_part(from + j + v * VW, part) : (vf)0.0f);
                    }
                }
            }
        }
        for (int j = 0; j < n && apart == 1; j += VW)
            turn(n - j < VW ? n - j : VW, count, b + (size_t)j * ldb + (size_t)start, ldb, scratch + (size_t)(j / NP) * APART + j % NP, NP);
        add_segments(m, n, count, a + (size_t)start * step, lda, step, scratch, APART, start == 0, start + 256 >= k, c, ldc);
    }
}

/* Few rows: the right side is read as it lies, once, and never packed. */
#define FEW (MR / 2)

int FN(few_rows)(void) { return FEW; }

/* A segment of `count` terms against VW columns that are rows of memory: turned in registers, VW terms at a time. */
INLINE void turned_terms(const int rows, int columns, int count, const float *a, size_t lda, size_t step, const float *b, size_t ldb, vf *acc) {
    for (int i = 0; i < count; i += VW) {
        int part = count - i < VW ? count - i : VW;
        vf r[VW];
        load_turned(columns, part, b + i, ldb, r);
        const float *x = a + (size_t)i * step;
        if (part == VW) {
            UNROLL for (int t = 0; t < VW; t++)
                UNROLL for (int row = 0; row < rows; row++) acc[row] = fma_one((vf)x[(size_t)row * lda + (size_t)t * step], r[t], acc[row]);
        } else {
            UNROLL for (int t = 0; t < VW; t++)
                if (t < part)
                    UNROLL for (int row = 0; row < rows; row++) acc[row] = fma_one((vf)x[(size_t)row * lda + (size_t)t * step], r[t], acc[row]);
        }
    }
}

INLINE void store_few(const int rows, int columns, vf *total, const float *bias, float *c, size_t ldc) {
    UNROLL for (int row = 0; row < rows; row++) {
        vf y = total[row] + 0.0f;
        if (bias) y += load_part(bias, columns);
        store_part(c + (size_t)row * ldc, canonical(y), columns);
    }
}

/* Cache lines of VW terms of two vectors of columns. */
#define LINES (2 * VW * VW / 16)

/* Columns that are rows of memory, two vectors of them by turns: the chains of one go on while the other is turned. */
INLINE void few_turned(const int rows, int n, int k, const float *a, size_t lda, size_t step, const float *b, size_t ldb, const float *bias, float *c,
                       size_t ldc) {
    for (int j = 0; j < n; j += 2 * VW) {
        int first = n - j < VW ? n - j : VW, second = n - j - first < VW ? n - j - first : VW;
        vf total[2][FEW];
        UNROLL for (int row = 0; row < rows; row++) total[0][row] = total[1][row] = 0.0f;
        for (int start = 0; start < k; start += 256) {
            int count = k - start < 256 ? k - start : 256;
            const float *from = b + (size_t)j * ldb + (size_t)start;
            /* The columns after these are asked for in the order in which they lie: so many rows of memory at once are more than the processor foresees. */
            const float *ahead = from + 2 * VW * ldb;
            int line = 0;
            vf acc[2][FEW];
            UNROLL for (int row = 0; row < rows; row++) acc[0][row] = acc[1][row] = 0.0f;
            for (int i = 0; i < count; i += VW) {
                int part = count - i < VW ? count - i : VW;
                const float *x = a + (size_t)(start + i) * step;
                for (int asked = 0; asked < LINES;) {
                    for (; line < count && asked < LINES; line += 16, asked++) __builtin_prefetch(ahead + line);
                    if (line >= count) {
                        line = 0;
                        ahead += ldb;
                    }
                }
                turned_terms(rows, first, part, x, lda, step, from + i, ldb, acc[0]);
                if (second > 0) turned_terms(rows, second, part, x, lda, step, from + (size_t)VW * ldb + i, ldb, acc[1]);
            }
            UNROLL for (int row = 0; row < rows; row++) {
                total[0][row] += acc[0][row];
                total[1][row] += acc[1][row];
            }
        }
        store_few(rows, first, total[0], bias ? bias + j : NULL, c + j, ldc);
        if (second > 0) store_few(rows, second, total[1], bias ? bias + j + VW : NULL, c + j + VW, ldc);
    }
}

/* Vectors of columns beside one another for few rows: those of a head of 64 in one pass, where a line is 16 of them. */
#define WIDE 4
_Static_assert(WIDE <= 2 * NV && FEW * WIDE <= MR * NV, "the sums of few rows fit a tile");

/* Columns that lie beside one another, `apart` between successive k. */
INLINE void few_lines(const int rows, int n, int k, const float *a, size_t lda, size_t step, const float *b, size_t apart, const float *bias, float *c,
                      size_t ldc) {
    int j = 0;
    for (; j + WIDE * VW <= n; j += WIDE * VW) {
        vf tile[MR * NV];
        multiply(rows, WIDE, WIDE, 0, k, a, lda, step, b + j, apart, NULL, 0, tile);
        UNROLL for (int row = 0; row < rows; row++)
            UNROLL for (int v = 0; v < WIDE; v++) {
                vf y = tile[row * WIDE + v];
                if (bias) y = canonical(y + load(bias + j + v * VW));
                store(c + (size_t)row * ldc + j + v * VW, y);
            }
    }
    for (; j < n; j += VW) {
        int part = n - j < VW ? n - j : VW;
        vf total[FEW];
        UNROLL for (int row = 0; row < rows; row++) total[row] = 0.0f;
        for (int start = 0; start < k; start += 256) {
            int end = start + 256 < k ? start + 256 : k;
            vf acc[FEW];
            UNROLL for (int row = 0; row < rows; row++) acc[row] = 0.0f;
            for (int i = start; i < end; i++) {
                vf w = load_part(b + (size_t)i * apart + j, part);
                UNROLL for (int row = 0; row < rows; row++) acc[row] = fma_one((vf)a[(size_t)row * lda + (size_t)i * step], w, acc[row]);
            }
            UNROLL for (int row = 0; row < rows; row++) total[row] += acc[row];
        }
        store_few(rows, part, total, bias ? bias + j : NULL, c + j, ldc);
    }
}

/* As contract_outer, with extents and a bias. Rows of one extent go together. */
void FN(contract_few)(int m, int n, int k, const int *extents, const float *a, size_t lda, size_t step, const float *b, size_t ldb, size_t apart,
                      const float *bias, float *c, size_t ldc) {
    for (int i = 0; i < m;) {
        int rows = 1, extent = extents ? extents[i] : k;
        while (rows < FEW && i + rows < m && (!extents || extents[i + rows] == extent)) rows++;
        const float *from = a + (size_t)i * lda;
        float *to = c + (size_t)i * ldc;
        switch (rows) {
#define CASE(R)                                                                                                        \
    case R:                                                                                                            \
        if (apart == 1) few_turned(R, n, extent, from, lda, step, b, ldb, bias, to, ldc);                               \
        else few_lines(R, n, extent, from, lda, step, b, apart, bias, to, ldc);                                         \
        break;
            EACH_LOW_HEIGHT(CASE) FOURTH(CASE)
#undef CASE
        }
        i += rows;
    }
}

/* A chain of one column, for those that fill no vector. */
INLINE float chain(const float *a, const float *b, size_t stride, int k) {
    float total = 0.0f;
    for (int start = 0; start < k; start += 256) {
        float segment = 0.0f;
        int end = start + 256 < k ? start + 256 : k;
        for (int i = start; i < end; i++) segment = __builtin_fmaf(a[i], b[(size_t)i * stride], segment);
        total += segment;
    }
    return canonical_scalar(total + 0.0f);
}

/* Two vectors or one of a matrix that is k-major as it stands, with the sums going from registers to c. */
INLINE void apart_out(const int rows, const int vectors, int k, const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc) {
    vf tile[MR * NV];
    multiply(rows, vectors, vectors, 0, k, a, lda, 1, b, ldb, NULL, 0, tile);
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < vectors; v++) store(c + (size_t)r * ldc + v * VW, tile[r * vectors + v]);
}

static void pair_out(int rows, int k, const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc) {
    switch (rows) {
#define CASE(R) case R: apart_out(R, 2, k, a, lda, b, ldb, c, ldc); break;
        EACH_HEIGHT(CASE) EACH_HIGH_HEIGHT(CASE)
#undef CASE
    }
}

static void single_out(int rows, int k, const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc) {
    switch (rows) {
#define CASE(R) case R: apart_out(R, 1, k, a, lda, b, ldb, c, ldc); break;
        EACH_HEIGHT(CASE) EACH_HIGH_HEIGHT(CASE)
#undef CASE
    }
}

void FN(attention)(int rows, int extent, int width, const float *q, size_t ldq, const float *k, size_t ldk,
                   const float *v, size_t ldv, float scale, float *out, size_t ldo, float *scratch) {
    /* Keys in panels, as a packed right side. */
    size_t columns = (size_t)(extent + NP - 1) / NP * NP;
    float *keys = scratch;
    float *scores = keys + columns * (size_t)width;
    for (int j = 0; j < extent; j += VW)
        turn(extent - j < VW ? extent - j : VW, width, k + (size_t)j * ldk, ldk, keys + (size_t)(j / NP * NP) * (size_t)width + j % NP, NP);
    for (int i = 0; i < rows;) {
        int count = height(i, rows);
        for (int j = 0; j < extent; j += NP)
            panel_out(count, extent - j < NP ? extent - j : NP, width, q + (size_t)i * ldq, ldq, keys + (size_t)j * (size_t)width,
                      NULL, 0, NULL, scores + j, columns);
        softmax_rows(count, scores, columns, extent, scale);
        int c = 0;
        for (; c + 2 * VW <= width; c += 2 * VW) pair_out(count, extent, scores, columns, v + c, ldv, out + (size_t)i * ldo + c, ldo);
        for (; c + VW <= width; c += VW) single_out(count, extent, scores, columns, v + c, ldv, out + (size_t)i * ldo + c, ldo);
        for (; c < width; c++)
            for (int r = 0; r < count; r++)
                out[(size_t)(i + r) * ldo + (size_t)c] = chain(scores + (size_t)r * columns, v + c, ldv, extent);
        i += count;
    }
}
