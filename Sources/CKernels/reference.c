/* The specification of docs/numerics.md in plain C: scalar, in the order in which the page says it. Compiled without contraction, so an fma
   happens exactly where fmaf is written. */
#include "CKernels.h"
#include "bits.h"
#include "coefficients.h"
#include "reference.h"
#include <math.h>
#include <string.h>

/* y ≥ 0 with the sign of x, zeros included. */
static inline float with_sign(float y, float x) { return float_of(bits_of(y) | (bits_of(x) & 0x80000000u)); }

/* 2^n for −126 ≤ n ≤ 127. */
static inline float power_of_two(int n) { return float_of((uint32_t)(n + 127) << 23); }

/* e^(x + low) = 2^n · e^r, |r| ≤ ln2/2, for a `low` far below x's last place; the power is applied in two halves so that subnormal results are
   rounded once more and no more. */
static float exp_of_sum(float x, float low) {
    if (x != x) return canonical(x);
    float clamped = x < PK_EXP_LOW ? PK_EXP_LOW : x > PK_EXP_HIGH ? PK_EXP_HIGH : x;
    float n = fmaf(clamped, PK_LOG2E, PK_ROUND) - PK_ROUND;
    float r = fmaf(n, -PK_LN2_HIGH, clamped);
    r = fmaf(n, -PK_LN2_LOW, r);
    r = r + low;
    float p = PK_EXP_C5;
    p = fmaf(p, r, PK_EXP_C4);
    p = fmaf(p, r, PK_EXP_C3);
    p = fmaf(p, r, PK_EXP_C2);
    p = fmaf(p, r, PK_EXP_C1);
    p = fmaf(p, r, PK_EXP_C0);
    p = fmaf(r * r, p, r);
    p = p + 1.0f;
    int whole = (int)n;
    int half = whole >> 1;
    return (p * power_of_two(half)) * power_of_two(whole - half);
}

/* Adding −0 changes nothing. */
float pk_exp_f32(float x) { return exp_of_sum(x, -0.0f); }

/* Odd. Below the split x + x·S(x²); above it 1 − e^(−|x|·L(|x|)), where what rounding the product loses goes into the exponential. */
float pk_erf_f32(float x) {
    if (x != x) return canonical(x);
    float a = fabsf(x);
    float t = a * a;
    float s = PK_ERF_S7;
    s = fmaf(s, t, PK_ERF_S6);
    s = fmaf(s, t, PK_ERF_S5);
    s = fmaf(s, t, PK_ERF_S4);
    s = fmaf(s, t, PK_ERF_S3);
    s = fmaf(s, t, PK_ERF_S2);
    s = fmaf(s, t, PK_ERF_S1);
    s = fmaf(s, t, PK_ERF_S0);
    if (a < PK_ERF_SPLIT) return fmaf(x, s, x);
    float u = a > PK_ERF_END ? PK_ERF_END : a;
    float l = PK_ERF_L10;
    l = fmaf(l, u, PK_ERF_L9);
    l = fmaf(l, u, PK_ERF_L8);
    l = fmaf(l, u, PK_ERF_L7);
    l = fmaf(l, u, PK_ERF_L6);
    l = fmaf(l, u, PK_ERF_L5);
    l = fmaf(l, u, PK_ERF_L4);
    l = fmaf(l, u, PK_ERF_L3);
    l = fmaf(l, u, PK_ERF_L2);
    l = fmaf(l, u, PK_ERF_L1);
    l = fmaf(l, u, PK_ERF_L0);
    float product = u * l;
    return with_sign(1.0f - exp_of_sum(-product, fmaf(-u, l, product)), x);
}

float pk_gelu_f32(float x) {
    float e = pk_erf_f32(x * PK_INVERSE_ROOT_TWO);
    return canonical((0.5f * x) * (1.0f + e));
}

float pk_sigmoid_f32(float x) { return canonical(1.0f / (1.0f + pk_exp_f32(-x))); }

/* log(2^e · (1 + f)) with 1 + f in [√½, √2). */
float pk_log_f32(float x) {
    if (x != x || x < 0) return float_of(0x7FC00000u);
    if (x == 0) return -INFINITY;
    if (x == INFINITY) return x;
    int e = 0;
    if (x < 0x1p-126f) {
        x *= 0x1p23f;
        e = -23;
    }
    uint32_t u = bits_of(x) - PK_ROOT_HALF_BITS;
    e += (int32_t)u >> 23;
    float f = float_of((u & 0x007FFFFFu) + PK_ROOT_HALF_BITS) - 1.0f;
    float p = PK_LOG_C8;
    p = fmaf(p, f, PK_LOG_C7);
    p = fmaf(p, f, PK_LOG_C6);
    p = fmaf(p, f, PK_LOG_C5);
    p = fmaf(p, f, PK_LOG_C4);
    p = fmaf(p, f, PK_LOG_C3);
    p = fmaf(p, f, PK_LOG_C2);
    p = fmaf(p, f, PK_LOG_C1);
    p = fmaf(p, f, PK_LOG_C0);
    float square = f * f;
    float n = (float)e;
    float low = fmaf(n, PK_LN2_LOW, square * (f * p));
    low = fmaf(square, -0.5f, low);
    return fmaf(n, PK_LN2_HIGH, f + low);
}

/* Odd. Below the split x + x³·P(x²); above it 1 − 2/(e^(2|x|) + 1). */
float pk_tanh_f32(float x) {
    if (x != x) return canonical(x);
    float a = fabsf(x);
    if (a < PK_TANH_SPLIT) {
        float t = a * a;
        float p = PK_TANH_C5;
        p = fmaf(p, t, PK_TANH_C4);
        p = fmaf(p, t, PK_TANH_C3);
        p = fmaf(p, t, PK_TANH_C2);
        p = fmaf(p, t, PK_TANH_C1);
        p = fmaf(p, t, PK_TANH_C0);
        return with_sign(fmaf(a * t, p, a), x);
    }
    float e = pk_exp_f32(2.0f * (a > PK_TANH_END ? PK_TANH_END : a));
    float y = 1.0f - 2.0f / (e + 1.0f);
    return with_sign(y, x);
}

/* 2/π, 288 bits. */
static const uint32_t two_over_pi[9] = {0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u,
                                        0x3c439041u, 0xfe5163abu, 0xdebbc561u, 0xb7246e3au};

/* x·2/π for |x| ≥ 2^14 by integers (Payne and Hanek 1983): the quadrant, and the rest as a fraction of a quarter turn in [−½, ½]. */
static float reduce_large(float x, int *quadrant) {
    uint32_t u = bits_of(x);
    int e = (int)((u >> 23) & 0xFF) - 150;
    uint64_t mantissa = (u & 0x7FFFFFu) | 0x800000u;
    /* Bits of 2/π that meet the mantissa above 4 are multiples of a whole turn; two stay for the quadrant. */
    int shift = e > 2 ? e - 2 : 0;
    int word = shift >> 5;
    int bit = shift & 31;
    uint32_t w[3];
    for (int i = 0; i < 3; i++) {
        uint64_t pair = ((uint64_t)two_over_pi[word + i] << 32) | two_over_pi[word + i + 1];
        w[i] = (uint32_t)(pair >> (32 - bit));
    }
    uint64_t p2 = mantissa * w[2];
    uint64_t p1 = mantissa * w[1] + (p2 >> 32);
    uint64_t p0 = mantissa * w[0] + (p1 >> 32);
    /* 32 whole bits and 96 of the fraction, then the rest of the exponent. */
    __uint128_t all = ((__uint128_t)p0 << 64) | ((__uint128_t)(uint32_t)p1 << 32) | (uint32_t)p2;
    all = e >= shift ? all << (e - shift) : all >> (shift - e);
    *quadrant = (int)((all >> 96) & 3);
    int64_t centred = (int64_t)(uint64_t)(all >> 32);
    if (centred < 0) *quadrant = (*quadrant + 1) & 3;
    /* Times π/2 in integers, so that the result is rounded once. */
    int64_t high = (int64_t)(((__int128_t)centred * 0x6487ED5110B4611A) >> 64);
    return (float)high * 0x1p-62f;
}

static float sine_kernel(float r) {
    float t = r * r;
    float p = PK_SIN_C4;
    p = fmaf(p, t, PK_SIN_C3);
    p = fmaf(p, t, PK_SIN_C2);
    p = fmaf(p, t, PK_SIN_C1);
    p = fmaf(p, t, PK_SIN_C0);
    return fmaf(r * t, p, r);
}

static float cosine_kernel(float r) {
    float t = r * r;
    float p = PK_COS_C3;
    p = fmaf(p, t, PK_COS_C2);
    p = fmaf(p, t, PK_COS_C1);
    p = fmaf(p, t, PK_COS_C0);
    /* What rounding 1 − t/2 loses is added back with the tail. */
    float h = fmaf(t, -0.5f, 1.0f);
    float lost = fmaf(t, -0.5f, 1.0f - h);
    return h + fmaf(t * t, p, lost);
}

static float circular(float x, int turn) {
    if (x != x || fabsf(x) == INFINITY) return float_of(0x7FC00000u);
    float a = fabsf(x);
    int quadrant;
    float r;
    if (a < PK_CIRCULAR_FAST) {
        float n = fmaf(a, PK_TWO_OVER_PI, PK_ROUND) - PK_ROUND;
        r = fmaf(n, -PK_HALF_PI_1, a);
        r = fmaf(n, -PK_HALF_PI_2, r);
        r = fmaf(n, -PK_HALF_PI_3, r);
        quadrant = (int)n & 3;
    } else {
        r = reduce_large(a, &quadrant);
    }
    int negative = turn == 0 && x < 0;
    if (turn == 0 && x == 0) return x;
    quadrant = (quadrant + turn) & 3;
    float y = quadrant & 1 ? cosine_kernel(r) : sine_kernel(r);
    if (quadrant & 2) y = -y;
    return negative ? -y : y;
}

float pk_sin_f32(float x) { return circular(x, 0); }
float pk_cos_f32(float x) { return circular(x, 1); }

/* Rule 5: integers in the order of the numbers, both zeros equal. */
static inline int32_t order_key(float x) {
    int32_t u = (int32_t)bits_of(x);
    return u >= 0 ? u : -(u & 0x7FFFFFFF);
}

static inline float without_sign_of_zero(float x) { return x == 0 ? 0.0f : x; }

size_t pk_row_argmax_f32(const float *x, size_t n) {
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != x[i]) return i;
        if (order_key(x[i]) > order_key(x[best])) best = i;
    }
    return best;
}

float pk_row_max_f32(const float *x, size_t n) {
    return n == 0 ? -INFINITY : canonical(without_sign_of_zero(x[pk_row_argmax_f32(x, n)]));
}

float pk_row_min_f32(const float *x, size_t n) {
    float best = INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != x[i]) return canonical(x[i]);
        if (order_key(x[i]) < order_key(best)) best = x[i];
    }
    return without_sign_of_zero(best);
}

/* ROW: chunks of 256 in 32 lanes of ascending adds, folded 16, 8, 4, 2, 1; chunks left to right. */
float pk_ref_row_sum(const float *x, size_t n) {
    float total = 0.0f;
    for (size_t start = 0; start < n; start += 256) {
        float lane[32] = {0};
        size_t end = start + 256 < n ? start + 256 : n;
        for (size_t i = start; i < end; i++) lane[(i - start) % 32] += x[i];
        for (int width = 16; width >= 1; width /= 2)
            for (int l = 0; l < width; l++) lane[l] += lane[l + width];
        total += lane[0];
    }
    return canonical(total + 0.0f);
}

void pk_row_prefix_f32(const float *x, size_t n, float *out) {
    float before = 0.0f;
    for (size_t start = 0; start < n; start += 256) {
        size_t end = start + 256 < n ? start + 256 : n;
        /* The chunk's sum first: out may be x. */
        float lane[32] = {0};
        for (size_t i = start; i < end; i++) lane[(i - start) % 32] += x[i];
        for (int width = 16; width >= 1; width /= 2)
            for (int l = 0; l < width; l++) lane[l] += lane[l + width];
        float chain = 0.0f;
        for (size_t i = start; i < end; i++) {
            chain += x[i];
            out[i] = canonical((before + chain) + 0.0f);
        }
        before += lane[0];
    }
}

void pk_ref_column_row_sum(int rows, int n, const float *x, size_t ldx, float *out) {
    for (int j = 0; j < n; j++) {
        float total = 0.0f;
        for (int start = 0; start < rows; start += 256) {
            float lane[32] = {0};
            int end = start + 256 < rows ? start + 256 : rows;
            for (int i = start; i < end; i++) lane[(i - start) % 32] += x[(size_t)i * ldx + (size_t)j];
            for (int width = 16; width >= 1; width /= 2)
                for (int l = 0; l < width; l++) lane[l] += lane[l + width];
            total += lane[0];
        }
        out[j] = canonical(total + 0.0f);
    }
}

/* SEG: segments of 256, each an ascending fma chain from +0, added left to right. `stride` is between successive k of b. */
static float segmented_dot(const float *a, const float *b, size_t stride, int k) {
    float total = 0.0f;
    for (int start = 0; start < k; start += 256) {
        float segment = 0.0f;
        int end = start + 256 < k ? start + 256 : k;
        for (int i = start; i < end; i++) segment = fmaf(a[i], b[(size_t)i * stride], segment);
        total += segment;
    }
    return canonical(total + 0.0f);
}

static float activated(pk_activation activation, float x) {
    switch (activation) {
    case PK_NONE: return x;
    case PK_GELU: return pk_ref_unary(PK_GELU_FN, x);
    case PK_RELU_ACTIVATION: return pk_ref_unary(PK_RELU, x);
    case PK_TANH_ACTIVATION: return pk_ref_unary(PK_TANH, x);
    case PK_SILU_ACTIVATION: return pk_ref_unary(PK_SILU, x);
    }
    return x;
}

void pk_ref_contract(int m, int n, int k, const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc,
                     const pk_epilogue *e) {
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            float y = segmented_dot(a + (size_t)i * lda, b + (size_t)j * ldb, 1, k);
            if (e && e->bias) y = canonical(y + e->bias[j]);
            if (e) y = activated(e->activation, y);
            if (e && e->residual) y = canonical(y + e->residual[(size_t)i * e->ldr + (size_t)j]);
            c[(size_t)i * ldc + (size_t)j] = y;
        }
}

void pk_ref_round_rows(int rows, int n, const float *x, size_t ldx, int8_t *q, size_t ldq, float *scale, float *top, int32_t *place) {
    for (int i = 0; i < rows; i++) {
        const float *row = x + (size_t)i * ldx;
        int8_t *to = q + (size_t)i * ldq;
        int first = 0;
        for (int j = 1; j < n && row[first] == row[first]; j++)
            if (row[j] != row[j] || fabsf(row[j]) > fabsf(row[first])) first = j;
        float amax = 0.0f;
        for (int j = 0; j < n; j++) {
            if (j == first) continue;
            float a = fabsf(row[j]);
            if (a != a || a > amax) amax = a;
            if (amax != amax) break;
        }
        top[i] = canonical(row[first]);
        place[i] = first;
        scale[i] = canonical(amax / 127.0f);
        float r = 0.0f < amax ? 127.0f / amax : 0.0f;
        for (int j = 0; j < n; j++) {
            float t = row[j] * r;
            if (t != t || j == first) t = 0.0f;
            to[j] = (int8_t)rintf(t < -127.0f ? -127.0f : t > 127.0f ? 127.0f : t);
        }
    }
}

void pk_ref_scale_row(int n, const int32_t *sums, const int32_t *right, float scale, float top, const float *columns, const pk_epilogue *e,
                      float *c) {
    for (int j = 0; j < n; j++) {
        float y = canonical(fmaf((float)sums[j], scale, top * (float)right[j]) * columns[j]);
        if (e->bias) y = canonical(y + e->bias[j]);
        y = activated(e->activation, y);
        if (e->residual) y = canonical(y + e->residual[j]);
        c[j] = y;
    }
}

/* 2^(e − 14) for the least e ≥ −135 with amax ≤ 16255·2^(e − 14). The mantissa of 16255 is 0x7DFC00: what is above it carries into the exponent. */
static float power_of(float amax) {
    if (!(amax < INFINITY)) return canonical(amax - amax);
    int shift = amax < 0x1p-60f ? 64 : 0;
    int e = (int)((bits_of(shift ? amax * 0x1p64f : amax) + 0x203FFu) >> 23) - 126 - shift;
    if (e < -135) e = -135;
    return e - 14 >= -126 ? float_of((uint32_t)(e - 14 + 127) << 23) : float_of(1u << (e - 14 + 149));
}

void pk_ref_halve_rows(int rows, int n, const float *x, size_t ldx, int8_t *high, int8_t *low, size_t ldq, float *power) {
    for (int i = 0; i < rows; i++) {
        const float *row = x + (size_t)i * ldx;
        float amax = 0.0f;
        for (int j = 0; j < n && amax == amax; j++) {
            float a = fabsf(row[j]);
            if (a != a || a > amax) amax = a;
        }
        power[i] = power_of(amax);
        for (int j = 0; j < n; j++) {
            float t = row[j] / power[i];
            int q = t == t ? (int)rintf(t) : 0;
            int low_half = ((q + 64) & 127) - 64;
            high[(size_t)i * ldq + (size_t)j] = (int8_t)((q - low_half) / 128);
            low[(size_t)i * ldq + (size_t)j] = (int8_t)low_half;
        }
    }
}

/* A power in two parts. Powers beyond 2^±50 give 2^±63 to the outer one: then no product is beyond f32 while the result is not, and only the last can round. */
static float outer_part(float power) { return power < 0x1p-50f ? 0x1p-63f : power < 0x1p50f ? 1.0f : 0x1p63f; }
static float inner_part(float power) { return power * (power < 0x1p-50f ? 0x1p63f : power < 0x1p50f ? 1.0f : 0x1p-63f); }

void pk_ref_scale_halves(int n, const pk_half_sums *s, float power, const float *columns, const pk_epilogue *e, float *c) {
    for (int j = 0; j < n; j++) {
        int64_t total = (int64_t)s->hh[j] * 16384 + ((int64_t)s->hl[j] + (int64_t)s->lh[j]) * 128 + (int64_t)s->ll[j];
        float y = (float)total * (inner_part(power) * inner_part(columns[j])) * (outer_part(power) * outer_part(columns[j]));
        y = canonical(y);
        if (e->bias) y = canonical(y + e->bias[j]);
        y = activated(e->activation, y);
        if (e->residual) y = canonical(y + e->residual[j]);
        c[j] = y;
    }
}

void pk_ref_contract_few(int m, int n, int k, const int *extents, const float *a, size_t lda, size_t step, const float *b, size_t ldb, size_t apart,
                         const float *bias, float *c, size_t ldc) {
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            int extent = extents ? extents[i] : k;
            float total = 0.0f;
            for (int start = 0; start < extent; start += 256) {
                float segment = 0.0f;
                int end = start + 256 < extent ? start + 256 : extent;
                for (int t = start; t < end; t++)
                    segment = fmaf(a[(size_t)i * lda + (size_t)t * step], b[(size_t)j * ldb + (size_t)t * apart], segment);
                total += segment;
            }
            total = canonical(total + 0.0f);
            c[(size_t)i * ldc + (size_t)j] = bias ? canonical(total + bias[j]) : total;
        }
}

void pk_ref_contract_strided(int m, int n, int k, const int *extents, const float *a, size_t lda, size_t step, const float *b,
                             float *c, size_t ldc) {
    pk_ref_contract_few(m, n, k, extents, a, lda, step, b, (size_t)k, 1, NULL, c, ldc);
}

void pk_ref_contract_outer(int m, int n, int k, const float *a, size_t lda, size_t step, const float *b, size_t ldb, size_t apart,
                           float *c, size_t ldc) {
    pk_ref_contract_few(m, n, k, NULL, a, lda, step, b, ldb, apart, NULL, c, ldc);
}

void pk_ref_softmax(int rows, int n, const int *extents, const float *x, size_t ldx, float scale, float *y, size_t ldy) {
    for (int i = 0; i < rows; i++) {
        const float *row = x + (size_t)i * ldx;
        float *out = y + (size_t)i * ldy;
        int extent = extents ? extents[i] : n;
        for (int j = 0; j < extent; j++) out[j] = canonical(row[j] * scale);
        float m = pk_row_max_f32(out, (size_t)extent);
        for (int j = 0; j < extent; j++) out[j] = pk_exp_f32(out[j] - m);
        float inverse = 1.0f / pk_ref_row_sum(out, (size_t)extent);
        for (int j = 0; j < extent; j++) out[j] = canonical(out[j] * inverse);
        for (int j = extent; j < n; j++) out[j] = 0.0f;
    }
}

void pk_ref_attention(int rows, int extent, int width, const float *q, size_t ldq, const float *k, size_t ldk,
                      const float *v, size_t ldv, float scale, float *out, size_t ldo, float *scratch) {
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < extent; j++)
            scratch[j] = segmented_dot(q + (size_t)i * ldq, k + (size_t)j * ldk, 1, width);
        pk_ref_softmax(1, extent, NULL, scratch, 0, scale, scratch, 0);
        for (int j = 0; j < width; j++) out[(size_t)i * ldo + (size_t)j] = segmented_dot(scratch, v + j, ldv, extent);
    }
}

void pk_ref_layer_norm(int rows, int n, const float *x, size_t ldx, const float *gain, const float *bias, float epsilon,
                       float *y, size_t ldy) {
    for (int i = 0; i < rows; i++) {
        const float *row = x + (size_t)i * ldx;
        float *out = y + (size_t)i * ldy;
        float mean = pk_ref_row_sum(row, (size_t)n) / (float)n;
        /* ROW over the squares, without a place to keep them. */
        float total = 0.0f;
        for (int start = 0; start < n; start += 256) {
            float lane[32] = {0};
            int end = start + 256 < n ? start + 256 : n;
            for (int j = start; j < end; j++) {
                float d = row[j] - mean;
                lane[(j - start) % 32] += d * d;
            }
            for (int width = 16; width >= 1; width /= 2)
                for (int l = 0; l < width; l++) lane[l] += lane[l + width];
            total += lane[0];
        }
        float variance = canonical(total + 0.0f) / (float)n;
        float inverse = 1.0f / sqrtf(variance + epsilon);
        for (int j = 0; j < n; j++) out[j] = canonical(fmaf((row[j] - mean) * inverse, gain[j], bias[j]));
    }
}

float pk_ref_unary(pk_function function, float x) {
    switch (function) {
    case PK_EXP: return pk_exp_f32(x);
    case PK_LOG: return pk_log_f32(x);
    case PK_TANH: return pk_tanh_f32(x);
    case PK_ERF: return pk_erf_f32(x);
    case PK_SIN: return pk_sin_f32(x);
    case PK_COS: return pk_cos_f32(x);
    case PK_SQRT: return canonical(sqrtf(x));
    case PK_GELU_FN: return pk_gelu_f32(x);
    case PK_RSQRT: return canonical(1.0f / sqrtf(x));
    case PK_SIGMOID: return pk_sigmoid_f32(x);
    case PK_SILU: return canonical(x * pk_sigmoid_f32(x));
    case PK_RELU: return x != x ? canonical(x) : x > 0 ? x : 0.0f;
    }
    return x;
}
