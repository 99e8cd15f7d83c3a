#!/usr/bin/env python3
"""Fits the polynomials of Sources/CKernels/functions.h: interpolation at Chebyshev nodes in high precision, rounded to float32.

Needs mpmath. Prints C arrays, lowest power first; the tests sweep what was frozen from it.
"""
from mpmath import mp, mpf, cos, pi, exp, log, erf, erfc, tanh, sin, sqrt, matrix, lu_solve
import struct

mp.prec = 200


def single(value):
    return struct.unpack("f", struct.pack("f", float(value)))[0]


def fit(name, function, low, high, degree):
    low, high = mpf(low), mpf(high)
    nodes = [(low + high) / 2 + (high - low) / 2 * cos(pi * (2 * i + 1) / (2 * (degree + 1))) for i in range(degree + 1)]
    a = matrix(degree + 1, degree + 1)
    b = matrix(degree + 1, 1)
    for row, x in enumerate(nodes):
        b[row] = function(x)
        for column in range(degree + 1):
            a[row, column] = x**column
    solution = lu_solve(a, b)
    print(f"/* {name} on [{float(low):.6g}, {float(high):.6g}] */")
    print("{" + ", ".join(single(c).hex() + "f" for c in solution) + "}")


half_log2 = log(2) / 2
small = mpf(2) ** -40
fit("(exp(r) - 1 - r) / r^2", lambda r: (exp(r) - 1 - r) / r**2, -half_log2 - mpf("0.001"), half_log2 + mpf("0.0011"), 5)
fit("(log(1+f) - f + f^2/2) / f^3", lambda f: (log(1 + f) - f + f * f / 2) / f**3, sqrt(mpf(1) / 2) - 1, sqrt(mpf(2)) - 1 + small, 8)
fit("(erf(x)/x - 1), x^2", lambda t: erf(sqrt(t)) / sqrt(t) - 1, small, mpf("1.0"), 7)
fit("-log(erfc(x)) / x", lambda x: -log(erfc(x)) / x, mpf("1.0"), mpf("3.95"), 10)
fit("(tanh(x)/x - 1)/x^2, x^2", lambda t: (tanh(sqrt(t)) / sqrt(t) - 1) / t, small, mpf("0.36"), 5)
fit("(sin(r)/r - 1)/r^2, r^2", lambda t: (sin(sqrt(t)) / sqrt(t) - 1) / t, small, (pi / 4) ** 2 + mpf("0.01"), 4)
fit("(cos(r) - 1 + r^2/2)/r^4, r^2", lambda t: (cos(sqrt(t)) - 1 + t / 2) / t**2, small, (pi / 4) ** 2 + mpf("0.01"), 3)
