#pragma once
#include <stdint.h>
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

/* Rule 3. On the bits: a compiler may hold one NaN as good as another, and clang drops `x != x ? NaN : x` after a square root. */
static inline float canonical(float x) { return (bits_of(x) & 0x7FFFFFFFu) > 0x7F800000u ? float_of(0x7FC00000u) : x; }
