#include "CMap.h"
#include "reference.h"
#include <math.h>
#include <string.h>

size_t pk_map_scratch(int registers) { return (size_t)registers * PK_MAP_REGISTER; }

/* Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011). */
void pk_philox(uint64_t seed, uint64_t number, uint32_t operation, uint8_t draw, uint32_t step, uint32_t words[4]) {
    uint32_t c0 = (uint32_t)number, c1 = (uint32_t)(number >> 32), c2 = operation | (uint32_t)draw << 24, c3 = step;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t even = (uint64_t)c0 * 0xD2511F53u, odd = (uint64_t)c2 * 0xCD9E8D57u;
        c0 = (uint32_t)(odd >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(even >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)odd;
        c3 = (uint32_t)even;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
}

static void unary_scalar(pk_function function, size_t n, const float *x, float *y) {
    for (size_t i = 0; i < n; i++) y[i] = pk_ref_unary(function, x[i]);
}

#define FN(name) pk_##name##_scalar
#define UNARY unary_scalar
#include "map.h"
