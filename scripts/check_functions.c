/* Every f32 through every function, on each variant that this machine has beside the specification, bit for bit: prints a digest for each function.
   Usage: check_functions FUNCTION [STRIDE], FUNCTION one of the names below. */
#include "CKernels.h"
#include "reference.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"exp", "log", "tanh", "erf", "sin", "cos", "sqrt", "gelu", "rsqrt", "sigmoid", "silu", "relu"};

enum { BLOCK = 4096 };

int main(int count, char **words) {
    pk_function function = PK_EXP;
    int known = 0;
    for (int f = PK_EXP; f <= PK_RELU && count > 1; f++)
        if (strcmp(words[1], names[f]) == 0) {
            function = (pk_function)f;
            known = 1;
        }
    uint64_t stride = count > 2 ? strtoull(words[2], NULL, 10) : 1;
    if (!known || stride == 0) {
        fprintf(stderr, "usage: check_functions FUNCTION [STRIDE]\n");
        return 64;
    }
    if (!pk_check_float_environment()) return 2;
    static float x[BLOCK], right[BLOCK], y[BLOCK];
    uint64_t digest = 0xcbf29ce484222325u, bits = 0, all = 0;
    while (bits < (uint64_t)1 << 32) {
        int n = 0;
        for (; n < BLOCK && bits < (uint64_t)1 << 32; n++, bits += stride) {
            uint32_t u = (uint32_t)bits;
            memcpy(x + n, &u, 4);
        }
        all += (uint64_t)n;
        for (int i = 0; i < n; i++) right[i] = pk_ref_unary(function, x[i]);
        for (int v = PK_AVX2; v <= PK_NEON; v++) {
            if (!pk_variant_supported((pk_variant)v)) continue;
            pk_unary_f32((pk_variant)v, function, (size_t)n, x, y);
            if (memcmp(y, right, (size_t)n * sizeof(float)) == 0) continue;
            for (int i = 0; i < n; i++)
                if (memcmp(y + i, right + i, sizeof(float)) != 0) {
                    printf("%s(%a) is %a on %s, should be %a\n", words[1], (double)x[i], (double)y[i], pk_variant_name((pk_variant)v),
                           (double)right[i]);
                    return 1;
                }
        }
        for (int i = 0; i < n; i++) {
            uint32_t u;
            memcpy(&u, right + i, 4);
            digest = (digest ^ u) * 0x100000001b3u;
        }
    }
    printf("%-8s %llu inputs, all variants alike, digest %016llx\n", words[1], (unsigned long long)all, (unsigned long long)digest);
    return 0;
}
