/* The specification of docs/numerics.md in plain C: scalar, in the order in which the page says it. Compiled without contraction, so an fma
   happens exactly where fmaf is written. */
#include "CKernels.h"
#include "coefficients.h"
#include "reference.h"
#include <math.h>
#include <string.h>

static inline uint32_t bits_of(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}

static inline float float_of(uint32_t u) {
    float x;
    memcpy(&x, &u, 4);
    return x;
}

/* Rule 3. */
static inline float canonical(float x) { return x != x ? float_of(0x7FC00000u) : x; }

void pk_canonicalize_f32(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = canonical(x[i]);
}

/* 2^n for −126 ≤ n ≤ 127. */
static inline float power_of_two(int n) { return float_of((uint32_t)(n + 127) << 23); }

/* e^x = 2^n · e^r, |r| ≤ ln2/2; the power is applied in two halves so that subnormal results are rounded once more and no more. */
float pk_exp_f32(float x) {
    if (x != x) return canonical(x);
    float clamped = x < PK_EXP_LOW ? PK_EXP_LOW : x > PK_EXP_HIGH ? PK_EXP_HIGH : x;
    float n = fmaf(clamped, PK_LOG2E, PK_ROUND) - PK_ROUND;
    float r = fmaf(n, -PK_LN2_HIGH, clamped);
    r = fmaf(n, -PK_LN2_LOW, r);
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

/* Odd. Below the split x + x·S(x²); above it 1 − e^(−|x|·L(|x|)). */
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
    float y = 1.0f - pk_exp_f32(-(u * l));
    return x < 0 ? -y : y;
}

float pk_gelu_f32(float x) {
    float e = pk_erf_f32(x * PK_INVERSE_ROOT_TWO);
    return canonical((0.5f * x) * (1.0f + e));
}

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
    uint32_t u = bits_of(x) - 0x3F3504F3u;
    e += (int32_t)u >> 23;
    float f = float_of((u & 0x007FFFFFu) + 0x3F3504F3u) - 1.0f;
    float p = 0x1.1d8ea6p-4f;
    p = fmaf(p, f, -0x1.d635bcp-4f);
    p = fmaf(p, f, 0x1.dea282p-4f);
    p = fmaf(p, f, -0x1.fcf4c6p-4f);
    p = fmaf(p, f, 0x1.23d21ap-3f);
    p = fmaf(p, f, -0x1.555b4ap-3f);
    p = fmaf(p, f, 0x1.999d5ap-3f);
    p = fmaf(p, f, -0x1.fffffcp-3f);
    p = fmaf(p, f, 0x1.555554p-2f);
    float square = f * f;
    float n = (float)e;
    float low = fmaf(n, PK_LN2_LOW, square * (f * p));
    low = fmaf(square, -0.5f, low);
    return fmaf(n, PK_LN2_HIGH, f + low);
}

float pk_tanh_f32(float x) {
    if (x != x) return canonical(x);
    float a = fabsf(x);
    if (a < 0.6f) {
        float t = a * a;
        float p = 0x1.36bdb2p-9f;
        p = fmaf(p, t, -0x1.1394cap-7f);
        p = fmaf(p, t, 0x1.64fad8p-6f);
        p = fmaf(p, t, -0x1.ba0d94p-5f);
        p = fmaf(p, t, 0x1.1110f6p-3f);
        p = fmaf(p, t, -0x1.555556p-2f);
        return fmaf(x * t, p, x);
    }
    float e = pk_exp_f32(2.0f * (a > 10.0f ? 10.0f : a));
    float y = 1.0f - 2.0f / (e + 1.0f);
    return x < 0 ? -y : y;
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
    float p = -0x1.aa16dap-26f;
    p = fmaf(p, t, 0x1.71d984p-19f);
    p = fmaf(p, t, -0x1.a019fep-13f);
    p = fmaf(p, t, 0x1.111112p-7f);
    p = fmaf(p, t, -0x1.555556p-3f);
    return fmaf(r * t, p, r);
}

static float cosine_kernel(float r) {
    float t = r * r;
    float p = -0x1.2518f0p-22f;
    p = fmaf(p, t, 0x1.a015a2p-16f);
    p = fmaf(p, t, -0x1.6c16c0p-10f);
    p = fmaf(p, t, 0x1.555556p-5f);
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
    if (a < 0x1p14f) {
        float n = fmaf(a, 0x1.45f306p-1f, PK_ROUND) - PK_ROUND;
        r = fmaf(n, -0x1.921fb6p+0f, a);
        r = fmaf(n, 0x1.777a5cp-25f, r);
        r = fmaf(n, 0x1.ee59dap-50f, r);
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

/* Rule 5. */
float pk_row_max_f32(const float *x, size_t n) {
    float best = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != x[i]) return canonical(x[i]);
        if (x[i] > best) best = x[i];
    }
    return best == 0 ? 0.0f : best;
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

void pk_ref_contract(int m, int n, int k, const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc,
                     const pk_epilogue *e) {
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            float y = segmented_dot(a + (size_t)i * lda, b + (size_t)j * ldb, 1, k);
            if (e && e->bias) y = canonical(y + e->bias[j]);
            if (e && e->activation == PK_GELU) y = pk_gelu_f32(y);
            if (e && e->residual) y = canonical(y + e->residual[(size_t)i * e->ldr + (size_t)j]);
            c[(size_t)i * ldc + (size_t)j] = y;
        }
}

void pk_ref_attention(int rows, int extent, int width, const float *q, size_t ldq, const float *k, size_t ldk,
                      const float *v, size_t ldv, float scale, float *out, size_t ldo, float *scratch) {
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < extent; j++)
            scratch[j] = canonical(segmented_dot(q + (size_t)i * ldq, k + (size_t)j * ldk, 1, width) * scale);
        float m = pk_row_max_f32(scratch, (size_t)extent);
        for (int j = 0; j < extent; j++) scratch[j] = pk_exp_f32(scratch[j] - m);
        float inverse = 1.0f / pk_ref_row_sum(scratch, (size_t)extent);
        for (int j = 0; j < extent; j++) scratch[j] = canonical(scratch[j] * inverse);
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
    }
    return x;
}

/* Rule 6: NaN to 0, clamp, round to nearest even. */
int32_t pk_f32_to_i32(float x) {
    if (x != x) return 0;
    return (int32_t)rintf(x < -2147483648.0f ? -2147483648.0f : x > 2147483520.0f ? 2147483520.0f : x);
}

int64_t pk_f32_to_i64(float x) {
    if (x != x) return 0;
    return (int64_t)rintf(x < -0x1p63f ? -0x1p63f : x > 0x1.fffffep62f ? 0x1.fffffep62f : x);
}

int8_t pk_f32_to_i8(float x) {
    if (x != x) return 0;
    return (int8_t)rintf(x < -128.0f ? -128.0f : x > 127.0f ? 127.0f : x);
}

uint8_t pk_f32_to_u8(float x) {
    if (x != x) return 0;
    return (uint8_t)rintf(x < 0.0f ? 0.0f : x > 255.0f ? 255.0f : x);
}

float pk_bf16_to_f32(uint16_t x) { return canonical(float_of((uint32_t)x << 16)); }

uint16_t pk_f32_to_bf16(float x) {
    if (x != x) return 0x7FC0;
    uint32_t u = bits_of(x);
    return (uint16_t)((u + 0x7FFFu + ((u >> 16) & 1)) >> 16);
}

float pk_f16_to_f32(uint16_t x) {
    uint32_t sign = (uint32_t)(x & 0x8000u) << 16;
    uint32_t e = (x >> 10) & 31, f = x & 0x3FFu;
    if (e == 31) return f ? float_of(0x7FC00000u) : float_of(sign | 0x7F800000u);
    if (e == 0) {
        float y = (float)f * 0x1p-24f;
        return sign ? -y : y;
    }
    return float_of(sign | ((e + 112) << 23) | (f << 13));
}

uint16_t pk_f32_to_f16(float x) {
    if (x != x) return 0x7E00;
    uint32_t u = bits_of(x);
    uint16_t sign = (uint16_t)((u >> 16) & 0x8000u);
    u &= 0x7FFFFFFFu;
    if (u >= 0x477FF000u) return sign | 0x7C00u;
    if (u < 0x38800000u) {
        /* Subnormal: adding 2^-1 · 2^... aligns the last place, and the addition rounds to even. */
        float y = float_of(u) + 0.5f;
        return sign | (uint16_t)(bits_of(y) - bits_of(0.5f));
    }
    u += 0xFFFu + ((u >> 13) & 1);
    return sign | (uint16_t)((u - 0x38000000u) >> 13);
}
