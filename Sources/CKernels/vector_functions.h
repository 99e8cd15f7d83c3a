/* The functions over W lanes; included by vector.h once for one vector and once for several side by side. S(name) adds the suffix. */
typedef float S(vf) __attribute__((ext_vector_type(W)));
typedef int32_t S(vi) __attribute__((ext_vector_type(W)));
typedef float S(vfu) __attribute__((ext_vector_type(W), aligned(4)));

INLINE S(vf) S(load)(const float *p) { return *(const S(vfu) *)p; }
INLINE void S(store)(float *p, S(vf) x) { *(S(vfu) *)p = x; }
INLINE S(vf) S(fma)(S(vf) a, S(vf) b, S(vf) c) { return __builtin_elementwise_fma(a, b, c); }
INLINE S(vi) S(bits)(S(vf) x) { return (S(vi))x; }
INLINE S(vf) S(floats)(S(vi) x) { return (S(vf))x; }
/* Where the mask's sign bit is set, a. */
INLINE S(vf) S(pick)(S(vi) mask, S(vf) a, S(vf) b) { return mask ? a : b; }
/* By integers, as in reference.c. */
INLINE S(vf) S(canonical)(S(vf) x) {
    return S(pick)((S(bits)(x) & 0x7FFFFFFF) > 0x7F800000, S(floats)((S(vi))0x7FC00000), x);
}
INLINE S(vf) S(magnitude)(S(vf) x) { return S(floats)(S(bits)(x) & 0x7FFFFFFF); }
INLINE S(vf) S(with_sign)(S(vf) y, S(vf) x) { return S(floats)(S(bits)(y) ^ (S(bits)(x) & (int32_t)0x80000000)); }

/* e^(r + low) for the r that is left of c when `whole` times ln 2 is taken away. */
INLINE S(vf) S(exp_reduced)(S(vf) c, S(vf) low, S(vi) *whole) {
    /* The integer stands in the low bits of the rounded sum: no conversion, so NaN lanes do no harm. */
    S(vf) rounded = S(fma)(c, PK_LOG2E, PK_ROUND);
    *whole = S(bits)(rounded) - PK_ROUND_BITS;
    S(vf) n = rounded - PK_ROUND;
    S(vf) r = S(fma)(n, -PK_LN2_HIGH, c);
    r = S(fma)(n, -PK_LN2_LOW, r) + low;
    S(vf) p = PK_EXP_C5;
    p = S(fma)(p, r, PK_EXP_C4);
    p = S(fma)(p, r, PK_EXP_C3);
    p = S(fma)(p, r, PK_EXP_C2);
    p = S(fma)(p, r, PK_EXP_C1);
    p = S(fma)(p, r, PK_EXP_C0);
    p = S(fma)(r * r, p, r);
    return p + 1.0f;
}

/* For |x| below 87, or NaN: the power of two is then a normal number, so that one product is as good as two. NaN keeps its form. */
INLINE S(vf) S(exp_near)(S(vf) x, S(vf) low) {
    S(vi) whole;
    S(vf) p = S(exp_reduced)(x, low, &whole);
    return p * S(floats)((whole + 127) << 23);
}

INLINE S(vf) S(exp_of_sum)(S(vf) x, S(vf) low) {
    S(vf) c = S(pick)(x < PK_EXP_LOW, (S(vf))PK_EXP_LOW, x);
    c = S(pick)(c > PK_EXP_HIGH, (S(vf))PK_EXP_HIGH, c);
    S(vi) whole;
    S(vf) p = S(exp_reduced)(c, low, &whole);
    S(vi) half = whole >> 1;
    return S(canonical)((p * S(floats)((half + 127) << 23)) * S(floats)((whole - half + 127) << 23));
}

INLINE S(vf) S(exp)(S(vf) x) {
    if (!__builtin_reduce_or(~(S(magnitude)(x) < 87.0f))) return S(exp_near)(x, -0.0f);
    return S(exp_of_sum)(x, -0.0f);
}

INLINE S(vf) S(log)(S(vf) x) {
    S(vi) small = x < 0x1p-126f;
    S(vf) scaled = S(pick)(small, x * 0x1p23f, x);
    S(vi) u = S(bits)(scaled) - PK_ROOT_HALF_BITS;
    S(vi) e = (u >> 23) - (small & 23);
    S(vf) f = S(floats)((u & 0x007FFFFF) + PK_ROOT_HALF_BITS) - 1.0f;
    S(vf) p = PK_LOG_C8;
    p = S(fma)(p, f, PK_LOG_C7);
    p = S(fma)(p, f, PK_LOG_C6);
    p = S(fma)(p, f, PK_LOG_C5);
    p = S(fma)(p, f, PK_LOG_C4);
    p = S(fma)(p, f, PK_LOG_C3);
    p = S(fma)(p, f, PK_LOG_C2);
    p = S(fma)(p, f, PK_LOG_C1);
    p = S(fma)(p, f, PK_LOG_C0);
    S(vf) square = f * f;
    S(vf) n = __builtin_convertvector(e, S(vf));
    S(vf) low = S(fma)(n, PK_LN2_LOW, square * (f * p));
    low = S(fma)(square, -0.5f, low);
    S(vf) y = S(fma)(n, PK_LN2_HIGH, f + low);
    y = S(pick)(x == INFINITY, x, y);
    y = S(pick)(x == 0.0f, (S(vf))(-INFINITY), y);
    return S(pick)(x >= 0.0f, y, S(floats)((S(vi))0x7FC00000));
}

/* erf below PK_ERF_SPLIT. */
INLINE S(vf) S(erf_small)(S(vf) x) {
    S(vf) t = x * x;
    S(vf) s = PK_ERF_S7;
    s = S(fma)(s, t, PK_ERF_S6);
    s = S(fma)(s, t, PK_ERF_S5);
    s = S(fma)(s, t, PK_ERF_S4);
    s = S(fma)(s, t, PK_ERF_S3);
    s = S(fma)(s, t, PK_ERF_S2);
    s = S(fma)(s, t, PK_ERF_S1);
    s = S(fma)(s, t, PK_ERF_S0);
    return S(fma)(x, s, x);
}

/* And from there on; NaN stays one. */
INLINE S(vf) S(erf_large)(S(vf) x) {
    S(vf) a = S(magnitude)(x);
    S(vf) u = S(pick)(a > PK_ERF_END, (S(vf))PK_ERF_END, a);
    S(vf) l = PK_ERF_L10;
    l = S(fma)(l, u, PK_ERF_L9);
    l = S(fma)(l, u, PK_ERF_L8);
    l = S(fma)(l, u, PK_ERF_L7);
    l = S(fma)(l, u, PK_ERF_L6);
    l = S(fma)(l, u, PK_ERF_L5);
    l = S(fma)(l, u, PK_ERF_L4);
    l = S(fma)(l, u, PK_ERF_L3);
    l = S(fma)(l, u, PK_ERF_L2);
    l = S(fma)(l, u, PK_ERF_L1);
    l = S(fma)(l, u, PK_ERF_L0);
    S(vf) product = u * l;
    return S(with_sign)(1.0f - S(exp_near)(-product, S(fma)(-u, l, product)), x);
}

INLINE S(vf) S(erf)(S(vf) x) {
    S(vf) small = S(erf_small)(x);
    /* The other half is the larger one, and activations are seldom large. NaN is no less than anything. */
    S(vi) below = S(magnitude)(x) < PK_ERF_SPLIT;
    if (!__builtin_reduce_or(~below)) return small;
    return S(canonical)(S(pick)(below, small, S(erf_large)(x)));
}

INLINE S(vf) S(gelu)(S(vf) x) {
    S(vf) e = S(erf)(x * PK_INVERSE_ROOT_TWO);
    return S(canonical)((0.5f * x) * (1.0f + e));
}

INLINE S(vf) S(tanh)(S(vf) x) {
    S(vf) a = S(magnitude)(x);
    S(vf) t = a * a;
    S(vf) p = PK_TANH_C5;
    p = S(fma)(p, t, PK_TANH_C4);
    p = S(fma)(p, t, PK_TANH_C3);
    p = S(fma)(p, t, PK_TANH_C2);
    p = S(fma)(p, t, PK_TANH_C1);
    p = S(fma)(p, t, PK_TANH_C0);
    S(vf) small = S(fma)(a * t, p, a);
    S(vf) e = S(exp)(2.0f * S(pick)(a > PK_TANH_END, (S(vf))PK_TANH_END, a));
    S(vf) y = 1.0f - 2.0f / (e + 1.0f);
    return S(canonical)(S(with_sign)(S(pick)(a < PK_TANH_SPLIT, small, y), x));
}

/* Lanes of 2^14 and more, and those not finite, are left to the reference. */
INLINE S(vf) S(circular)(S(vf) x, int turn) {
    S(vf) a = S(magnitude)(x);
    S(vf) rounded = S(fma)(a, PK_TWO_OVER_PI, PK_ROUND);
    S(vf) n = rounded - PK_ROUND;
    S(vi) quadrant = S(bits)(rounded) + turn;
    S(vf) r = S(fma)(n, -PK_HALF_PI_1, a);
    r = S(fma)(n, -PK_HALF_PI_2, r);
    r = S(fma)(n, -PK_HALF_PI_3, r);
    S(vf) t = r * r;
    S(vf) s = PK_SIN_C4;
    s = S(fma)(s, t, PK_SIN_C3);
    s = S(fma)(s, t, PK_SIN_C2);
    s = S(fma)(s, t, PK_SIN_C1);
    s = S(fma)(s, t, PK_SIN_C0);
    s = S(fma)(r * t, s, r);
    S(vf) c = PK_COS_C3;
    c = S(fma)(c, t, PK_COS_C2);
    c = S(fma)(c, t, PK_COS_C1);
    c = S(fma)(c, t, PK_COS_C0);
    S(vf) h = S(fma)(t, -0.5f, 1.0f);
    S(vf) lost = S(fma)(t, -0.5f, 1.0f - h);
    c = h + S(fma)(t * t, c, lost);
    S(vf) y = S(pick)(quadrant << 31, c, s);
    y = S(floats)(S(bits)(y) ^ ((quadrant & 2) << 30));
    return turn == 0 ? S(with_sign)(y, x) : y;
}

INLINE S(vf) S(sigmoid)(S(vf) x) { return S(canonical)(1.0f / (1.0f + S(exp)(-x))); }

INLINE S(vf) S(apply)(pk_function function, S(vf) x) {
    switch (function) {
    case PK_EXP: return S(exp)(x);
    case PK_LOG: return S(log)(x);
    case PK_TANH: return S(tanh)(x);
    case PK_ERF: return S(erf)(x);
    case PK_SIN: return S(circular)(x, 0);
    case PK_COS: return S(circular)(x, 1);
    case PK_SQRT: return S(canonical)(__builtin_elementwise_sqrt(x));
    case PK_GELU_FN: return S(gelu)(x);
    case PK_RSQRT: return S(canonical)(1.0f / __builtin_elementwise_sqrt(x));
    case PK_SIGMOID: return S(sigmoid)(x);
    case PK_SILU: return S(canonical)(x * S(sigmoid)(x));
    case PK_RELU: return S(canonical)(S(pick)(x <= 0.0f, (S(vf))0.0f, x));
    }
    return x;
}
