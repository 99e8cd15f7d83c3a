/* Rules 1, 3 and 6 of docs/numerics.md: between the types, and the one form of NaN. */
#include "CKernels.h"
#include "bits.h"
#include <math.h>
#include <string.h>

void pk_canonicalize_f32(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = canonical(x[i]);
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

void pk_widen_bf16(size_t n, const uint16_t *x, float *y) {
    for (size_t i = 0; i < n; i++) y[i] = pk_bf16_to_f32(x[i]);
}

void pk_widen_f16(size_t n, const uint16_t *x, float *y) {
    for (size_t i = 0; i < n; i++) y[i] = pk_f16_to_f32(x[i]);
}

void pk_narrow_bf16(size_t n, const float *x, uint16_t *y) {
    for (size_t i = 0; i < n; i++) y[i] = pk_f32_to_bf16(x[i]);
}

void pk_narrow_f16(size_t n, const float *x, uint16_t *y) {
    for (size_t i = 0; i < n; i++) y[i] = pk_f32_to_f16(x[i]);
}
