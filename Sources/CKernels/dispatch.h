#pragma once
/* Calls the variant's function, or the reference's where the machine has none such. */
#if defined(__x86_64__)
#define DISPATCH(variant, name, reference, ...)                                                                        \
    if (variant == PK_AVX512) return pk_##name##_avx512(__VA_ARGS__);                                                  \
    if (variant == PK_AVX2) return pk_##name##_avx2(__VA_ARGS__);                                                      \
    reference
#elif defined(__aarch64__)
#define DISPATCH(variant, name, reference, ...)                                                                        \
    if (variant == PK_NEON) return pk_##name##_neon(__VA_ARGS__);                                                      \
    reference
#else
#define DISPATCH(variant, name, reference, ...)                                                                        \
    (void)variant;                                                                                                     \
    reference
#endif
