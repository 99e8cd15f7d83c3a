/* The vector form of every kernel, written once over clang's vector types. A file that includes this defines VW (floats a vector), MR (rows of a tile), NV
   (vectors of a tile's row) and FN (a name with the variant's suffix), and sets the target. Each function computes, lane by lane, the operations of
   reference.c in their order. */
#include "CKernels.h"
#include "coefficients.h"
#include "reference.h"
#include <math.h>
#include <string.h>

typedef float vf __attribute__((vector_size(VW * 4)));
typedef int32_t vi __attribute__((vector_size(VW * 4)));
typedef float vfu __attribute__((vector_size(VW * 4), aligned(4)));

#define NP (NV * VW)
#define INLINE static inline __attribute__((always_inline))

INLINE vf load(const float *p) { return (vf) * (const vfu *)p; }
INLINE void store(float *p, vf x) { *(vfu *)p = (vfu)x; }
INLINE vf splat(float x) { return x - (vf){}; }
INLINE vf fma_(vf a, vf b, vf c) { return __builtin_elementwise_fma(a, b, c); }
INLINE vf select_(vi mask, vf a, vf b) { return (vf)(((vi)a & mask) | ((vi)b & ~mask)); }
INLINE vf canonical(vf x) { return select_((vi)(x == x), x, (vf)((vi){} + 0x7FC00000)); }

/* The first n floats, the rest zero. */
INLINE vf load_part(const float *p, int n) {
    if (n >= VW) return load(p);
    float t[VW] = {0};
    for (int i = 0; i < n; i++) t[i] = p[i];
    return load(t);
}

INLINE void store_part(float *p, vf x, int n) {
    if (n >= VW) {
        store(p, x);
        return;
    }
    float t[VW];
    store(t, x);
    for (int i = 0; i < n; i++) p[i] = t[i];
}

INLINE vf exp_(vf x) {
    vf c = select_((vi)(x < PK_EXP_LOW), splat(PK_EXP_LOW), x);
    c = select_((vi)(c > PK_EXP_HIGH), splat(PK_EXP_HIGH), c);
    vf n = fma_(c, splat(PK_LOG2E), splat(PK_ROUND)) - PK_ROUND;
    vf r = fma_(n, splat(-PK_LN2_HIGH), c);
    r = fma_(n, splat(-PK_LN2_LOW), r);
    vf p = splat(PK_EXP_C5);
    p = fma_(p, r, splat(PK_EXP_C4));
    p = fma_(p, r, splat(PK_EXP_C3));
    p = fma_(p, r, splat(PK_EXP_C2));
    p = fma_(p, r, splat(PK_EXP_C1));
    p = fma_(p, r, splat(PK_EXP_C0));
    p = fma_(r * r, p, r);
    p = p + 1.0f;
    /* NaN lanes convert to anything: they are put right at the end. */
    vf safe = select_((vi)(n == n), n, splat(0.0f));
    vi whole = __builtin_convertvector(safe, vi);
    vi half = whole >> 1;
    vf y = (p * (vf)((half + 127) << 23)) * (vf)((whole - half + 127) << 23);
    return select_((vi)(x == x), y, (vf)((vi){} + 0x7FC00000));
}

INLINE vf erf_(vf x) {
    vf a = (vf)((vi)x & 0x7FFFFFFF);
    vf t = a * a;
    vf s = splat(PK_ERF_S7);
    s = fma_(s, t, splat(PK_ERF_S6));
    s = fma_(s, t, splat(PK_ERF_S5));
    s = fma_(s, t, splat(PK_ERF_S4));
    s = fma_(s, t, splat(PK_ERF_S3));
    s = fma_(s, t, splat(PK_ERF_S2));
    s = fma_(s, t, splat(PK_ERF_S1));
    s = fma_(s, t, splat(PK_ERF_S0));
    vf small = fma_(x, s, x);
    vf u = select_((vi)(a > PK_ERF_END), splat(PK_ERF_END), a);
    vf l = splat(PK_ERF_L10);
    l = fma_(l, u, splat(PK_ERF_L9));
    l = fma_(l, u, splat(PK_ERF_L8));
    l = fma_(l, u, splat(PK_ERF_L7));
    l = fma_(l, u, splat(PK_ERF_L6));
    l = fma_(l, u, splat(PK_ERF_L5));
    l = fma_(l, u, splat(PK_ERF_L4));
    l = fma_(l, u, splat(PK_ERF_L3));
    l = fma_(l, u, splat(PK_ERF_L2));
    l = fma_(l, u, splat(PK_ERF_L1));
    l = fma_(l, u, splat(PK_ERF_L0));
    vf y = 1.0f - exp_(-(u * l));
    y = (vf)((vi)y ^ ((vi)x & (int32_t)0x80000000));
    y = select_((vi)(a < PK_ERF_SPLIT), small, y);
    return select_((vi)(x == x), y, (vf)((vi){} + 0x7FC00000));
}

INLINE vf gelu_(vf x) {
    vf e = erf_(x * PK_INVERSE_ROOT_TWO);
    return canonical((0.5f * x) * (1.0f + e));
}

/* Folds 32 lanes held in vectors: 16, 8, 4, 2, 1. */
INLINE float fold(const vf *lanes) {
    float l[32];
    for (int i = 0; i < 32 / VW; i++) store(l + i * VW, lanes[i]);
    for (int width = 16; width >= 1; width /= 2)
        for (int i = 0; i < width; i++) l[i] += l[i + width];
    return l[0];
}

float FN(row_sum)(const float *x, size_t n) {
    float total = 0.0f;
    for (size_t start = 0; start < n; start += 256) {
        vf lane[32 / VW] = {{0}};
        size_t end = start + 256 < n ? start + 256 : n;
        for (size_t i = start; i < end; i += 32)
            for (int v = 0; v < 32 / VW; v++) {
                size_t at = i + (size_t)(v * VW);
                /* A lane never holds −0, so adding +0 for a missing element changes nothing. */
                if (at < end) lane[v] += load_part(x + at, (int)(end - at < VW ? end - at : VW));
            }
        total += fold(lane);
    }
    total += 0.0f;
    return total != total ? __builtin_nanf("") : total;
}

void FN(column_row_sum)(int rows, int n, const float *x, size_t ldx, float *out) {
    for (int j = 0; j < n; j += VW) {
        int part = n - j < VW ? n - j : VW;
        vf total = splat(0.0f);
        for (int start = 0; start < rows; start += 256) {
            vf lane[32] = {{0}};
            int end = start + 256 < rows ? start + 256 : rows;
            for (int i = start; i < end; i++) lane[(i - start) & 31] += load_part(x + (size_t)i * ldx + (size_t)j, part);
            for (int width = 16; width >= 1; width /= 2)
                for (int l = 0; l < width; l++) lane[l] += lane[l + width];
            total += lane[0];
        }
        store_part(out + j, canonical(total + 0.0f), part);
    }
}

size_t FN(pack_size)(int n, int k) { return (size_t)((n + NP - 1) / NP) * NP * (size_t)(k > 0 ? k : 1); }

/* Panels of NP columns, k-major, zero beyond n. */
void FN(pack)(int n, int k, const float *b, size_t ldb, float *packed) {
    for (int j = 0; j < n; j += NP) {
        float *panel = packed + (size_t)j * (size_t)k;
        for (int c = 0; c < NP; c++)
            for (int i = 0; i < k; i++) panel[(size_t)i * NP + (size_t)c] = j + c < n ? b[(size_t)(j + c) * ldb + (size_t)i] : 0.0f;
    }
}

/* One tile: `rows` ≤ MR rows by NV vectors, b k-major with stride ldb. The result is in `tile`, before any epilogue. */
#define TILE(NAME, ROWS, VECTORS)                                                                                      \
    INLINE void NAME(int k, const float *a, size_t lda, const float *b, size_t ldb, vf tile[ROWS][VECTORS]) {          \
        vf total[ROWS][VECTORS];                                                                                       \
        for (int start = 0; start < k || start == 0; start += 256) {                                                   \
            int end = start + 256 < k ? start + 256 : k;                                                               \
            vf acc[ROWS][VECTORS];                                                                                     \
            _Pragma("clang loop unroll(full)") for (int r = 0; r < ROWS; r++)                                          \
                _Pragma("clang loop unroll(full)") for (int v = 0; v < VECTORS; v++) acc[r][v] = (vf){};               \
            for (int i = start; i < end; i++) {                                                                        \
                const float *row = b + (size_t)i * ldb;                                                                \
                __builtin_prefetch(row + 8 * ldb);                                                                     \
                vf w[VECTORS];                                                                                         \
                _Pragma("clang loop unroll(full)") for (int v = 0; v < VECTORS; v++) w[v] = load(row + v * VW);        \
                _Pragma("clang loop unroll(full)") for (int r = 0; r < ROWS; r++) {                                    \
                    vf x = splat(a[(size_t)r * lda + (size_t)i]);                                                      \
                    _Pragma("clang loop unroll(full)") for (int v = 0; v < VECTORS; v++)                               \
                        acc[r][v] = fma_(x, w[v], acc[r][v]);                                                          \
                }                                                                                                      \
            }                                                                                                          \
            _Pragma("clang loop unroll(full)") for (int r = 0; r < ROWS; r++)                                          \
                _Pragma("clang loop unroll(full)") for (int v = 0; v < VECTORS; v++)                                   \
                    total[r][v] = start == 0 ? acc[r][v] : total[r][v] + acc[r][v];                                    \
        }                                                                                                              \
        for (int r = 0; r < ROWS; r++)                                                                                 \
            for (int v = 0; v < VECTORS; v++) tile[r][v] = canonical(total[r][v] + 0.0f);                              \
    }

TILE(tile_full, MR, NV)
TILE(tile_row, 1, NV)
TILE(tile_narrow, MR, 1)
TILE(tile_narrow_row, 1, 1)
TILE(tile_pair, MR, 2)
TILE(tile_pair_row, 1, 2)

INLINE void finish(const vf *tile, int vectors, int columns, const float *bias, const float *residual, int activation,
                   float *c) {
    for (int v = 0; v < vectors; v++) {
        int part = columns - v * VW;
        if (part <= 0) break;
        vf y = tile[v];
        if (bias) y = canonical(y + load_part(bias + v * VW, part));
        if (activation == PK_GELU) y = gelu_(y);
        if (residual) y = canonical(y + load_part(residual + v * VW, part));
        store_part(c + v * VW, y, part);
    }
}

void FN(contract)(int m, int n, int k, const float *a, size_t lda, const float *packed, float *c, size_t ldc,
                  const pk_epilogue *e) {
    static const pk_epilogue nothing = {0};
    if (!e) e = &nothing;
    for (int j = 0; j < n; j += NP) {
        const float *panel = packed + (size_t)j * (size_t)k;
        const float *bias = e->bias ? e->bias + j : NULL;
        int columns = n - j < NP ? n - j : NP;
        int i = 0;
        for (; i + MR <= m; i += MR) {
            vf tile[MR][NV];
            tile_full(k, a + (size_t)i * lda, lda, panel, NP, tile);
            for (int r = 0; r < MR; r++)
                finish(tile[r], NV, columns, bias, e->residual ? e->residual + (size_t)(i + r) * e->ldr + (size_t)j : NULL,
                       (int)e->activation, c + (size_t)(i + r) * ldc + (size_t)j);
        }
        for (; i < m; i++) {
            vf tile[1][NV];
            tile_row(k, a + (size_t)i * lda, lda, panel, NP, tile);
            finish(tile[0], NV, columns, bias, e->residual ? e->residual + (size_t)i * e->ldr + (size_t)j : NULL,
                   (int)e->activation, c + (size_t)i * ldc + (size_t)j);
        }
    }
}

/* Max, exponentials, their ROW sum and the division, in place; what lies past `extent` up to a whole vector is scratch. */
INLINE void softmax_row(float *s, int extent, float scale) {
    int padded = (extent + VW - 1) / VW * VW;
    for (int j = extent; j < padded; j++) s[j] = -INFINITY;
    vf best = splat(-INFINITY);
    vi bad = {0};
    for (int j = 0; j < padded; j += VW) {
        vf y = load(s + j);
        if (j + VW <= extent) {
            y = canonical(y * scale);
        } else {
            vf scaled = canonical(y * scale);
            float t[VW];
            store(t, scaled);
            for (int l = extent - j; l < VW; l++) t[l] = -INFINITY;
            y = load(t);
        }
        store(s + j, y);
        bad |= (vi)(y != y);
        best = select_((vi)(y > best), y, best);
    }
    float lanes[VW];
    store(lanes, best);
    float m = -INFINITY;
    for (int l = 0; l < VW; l++)
        if (lanes[l] > m) m = lanes[l];
    if (m == 0) m = 0.0f;
    for (int l = 0; l < VW; l++)
        if (bad[l]) m = __builtin_nanf("");
    for (int j = 0; j < padded; j += VW) store(s + j, exp_(load(s + j) - m));
    float inverse = 1.0f / FN(row_sum)(s, (size_t)extent);
    for (int j = 0; j < padded; j += VW) store(s + j, canonical(load(s + j) * inverse));
}

void FN(attention)(int rows, int extent, int width, const float *q, size_t ldq, const float *k, size_t ldk,
                   const float *v, size_t ldv, float scale, float *out, size_t ldo, float *scratch) {
    int columns = (extent + 2 * VW - 1) / (2 * VW) * (2 * VW);
    float *keys = scratch;
    float *scores = keys + (size_t)columns * (size_t)width;
    for (int j = 0; j < extent; j++)
        for (int i = 0; i < width; i++) keys[(size_t)i * (size_t)columns + (size_t)j] = k[(size_t)j * ldk + (size_t)i];
    for (int i = 0; i < width; i++)
        for (int j = extent; j < columns; j++) keys[(size_t)i * (size_t)columns + (size_t)j] = 0.0f;
    int i = 0;
    while (i < rows) {
        int count = i + MR <= rows ? MR : 1;
        for (int j = 0; j < columns; j += 2 * VW) {
            vf tile[MR][2];
            if (count == MR) {
                tile_pair(width, q + (size_t)i * ldq, ldq, keys + j, (size_t)columns, tile);
            } else {
                tile_pair_row(width, q + (size_t)i * ldq, ldq, keys + j, (size_t)columns, tile);
            }
            for (int r = 0; r < count; r++) {
                store(scores + (size_t)r * (size_t)columns + (size_t)j, tile[r][0]);
                store(scores + (size_t)r * (size_t)columns + (size_t)(j + VW), tile[r][1]);
            }
        }
        for (int r = 0; r < count; r++) softmax_row(scores + (size_t)r * (size_t)columns, extent, scale);
        int c = 0;
        for (; c + 2 * VW <= width; c += 2 * VW) {
            vf tile[MR][2];
            if (count == MR) {
                tile_pair(extent, scores, (size_t)columns, v + c, ldv, tile);
            } else {
                tile_pair_row(extent, scores, (size_t)columns, v + c, ldv, tile);
            }
            for (int r = 0; r < count; r++) finish(tile[r], 2, 2 * VW, NULL, NULL, 0, out + (size_t)(i + r) * ldo + c);
        }
        for (; c + VW <= width; c += VW) {
            vf tile[MR][1];
            if (count == MR) {
                tile_narrow(extent, scores, (size_t)columns, v + c, ldv, tile);
            } else {
                tile_narrow_row(extent, scores, (size_t)columns, v + c, ldv, tile);
            }
            for (int r = 0; r < count; r++) finish(tile[r], 1, VW, NULL, NULL, 0, out + (size_t)(i + r) * ldo + c);
        }
        for (; c < width; c++)
            for (int r = 0; r < count; r++) {
                /* Columns that fill no vector: the chain itself. */
                float total = 0.0f;
                for (int start = 0; start < extent; start += 256) {
                    float segment = 0.0f;
                    int end = start + 256 < extent ? start + 256 : extent;
                    for (int l = start; l < end; l++)
                        segment = __builtin_fmaf(scores[(size_t)r * (size_t)columns + (size_t)l], v[(size_t)l * ldv + (size_t)c], segment);
                    total += segment;
                }
                total += 0.0f;
                out[(size_t)(i + r) * ldo + (size_t)c] = total != total ? __builtin_nanf("") : total;
            }
        i += count;
    }
}

void FN(layer_norm)(int rows, int n, const float *x, size_t ldx, const float *gain, const float *bias, float epsilon,
                    float *y, size_t ldy) {
    for (int i = 0; i < rows; i++) {
        const float *row = x + (size_t)i * ldx;
        float *out = y + (size_t)i * ldy;
        float mean = FN(row_sum)(row, (size_t)n) / (float)n;
        float total = 0.0f;
        for (int start = 0; start < n; start += 256) {
            vf lane[32 / VW] = {{0}};
            int end = start + 256 < n ? start + 256 : n;
            for (int j = start; j < end; j += 32)
                for (int v = 0; v < 32 / VW; v++) {
                    int at = j + v * VW;
                    if (at + VW <= end) {
                        vf d = load(row + at) - mean;
                        lane[v] += d * d;
                    } else if (at < end) {
                        float t[VW] = {0};
                        for (int l = 0; l < end - at; l++) {
                            float d = row[at + l] - mean;
                            t[l] = d * d;
                        }
                        lane[v] += load(t);
                    }
                }
            total += fold(lane);
        }
        total += 0.0f;
        float inverse = 1.0f / sqrtf(total / (float)n + epsilon);
        for (int j = 0; j < n; j += VW) {
            int part = n - j < VW ? n - j : VW;
            vf d = load_part(row + j, part) - mean;
            store_part(out + j, canonical(fma_(d * inverse, load_part(gain + j, part), load_part(bias + j, part))), part);
        }
    }
}

void FN(unary)(pk_function function, size_t n, const float *x, float *y) {
    if (function != PK_EXP && function != PK_ERF && function != PK_GELU_FN) {
        for (size_t i = 0; i < n; i++) y[i] = pk_ref_unary(function, x[i]);
        return;
    }
    for (size_t i = 0; i < n; i += VW) {
        int part = n - i < VW ? (int)(n - i) : VW;
        vf value = load_part(x + i, part);
        value = function == PK_EXP ? exp_(value) : function == PK_ERF ? erf_(value) : gelu_(value);
        store_part(y + i, value, part);
    }
}
