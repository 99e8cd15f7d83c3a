#!/usr/bin/env python3
"""GFLOP/s of pk_contract_f32 on one core beside other libraries' sgemm, interleaved so that a noisy machine is noisy for all.

Then the exact i8 product beside ONNX Runtime's MatMulInteger and, where there is PyTorch, torch._int_mm, and f32 beside torch.mm.

Arguments: the folder with libckernels.so; then optionally variant numbers (0 scalar, 1 AVX2, 2 AVX-512, 3 NEON; by default the best).
"""
import ctypes
import glob
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

folder = sys.argv[1]
kernels = ctypes.CDLL(folder + "/libckernels.so")
size, pointer, integer = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int
kernels.pk_pack_size.restype = size
kernels.pk_pack_size.argtypes = [integer, integer, integer]
kernels.pk_pack.argtypes = [integer, integer, integer, pointer, size, pointer]
kernels.pk_contract_f32.argtypes = [integer] * 4 + [pointer, size, pointer, pointer, size, pointer]
kernels.pk_attention_scratch.restype = size
kernels.time_unary.restype = kernels.time_layer_norm.restype = kernels.time_attention.restype = ctypes.c_double
kernels.time_unary.argtypes = [integer, integer, size, pointer, pointer]
kernels.time_layer_norm.argtypes = [integer] * 3 + [pointer] * 4
kernels.time_attention.argtypes = [integer] * 4 + [pointer] * 5
kernels.pk_pack_size_i8.restype = size
kernels.pk_pack_size_i8.argtypes = [integer, integer, integer]
kernels.pk_pack_i8.argtypes = [integer, integer, integer, pointer, size, pointer]
kernels.pk_contract_i8.argtypes = [integer] * 4 + [pointer, pointer, size, pointer, pointer, size]
variants = [int(v) for v in sys.argv[2:]] or [kernels.pk_best_variant()]
try:
    import torch

    torch.set_num_threads(1)
except ImportError:
    torch = None

mkl = None
for path in glob.glob(sys.prefix + "/lib/libmkl_rt.so*"):
    mkl = ctypes.CDLL(path)


class Epilogue(ctypes.Structure):
    _fields_ = [("bias", pointer), ("activation", integer), ("residual", pointer), ("ldr", size)]


def aligned(shape, kind):
    """Zeros that begin with a cache line, as the executor's memory does and the other libraries' own; numpy's begin 16 bytes beyond one."""
    count = int(np.prod(shape)) * np.dtype(kind).itemsize
    memory = np.zeros(count + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start:start + count].view(kind).reshape(shape)


def exact(variant, a, b, gelu_bias=None):
    m, k = a.shape
    n = b.shape[0]
    packed = aligned(kernels.pk_pack_size(variant, n, k), np.float32)
    kernels.pk_pack(variant, n, k, b.ctypes.data, k, packed.ctypes.data)
    c = aligned((m, n), np.float32)
    epilogue = None
    if gelu_bias is not None:
        epilogue = Epilogue(gelu_bias.ctypes.data, 1, None, 0)

    def run():
        kernels.pk_contract_f32(variant, m, n, k, a.ctypes.data, k, packed.ctypes.data, c.ctypes.data, n,
                                ctypes.byref(epilogue) if epilogue else None)
        return c
    return run


def session(m, n, k, b):
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])], "g",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [m, k])],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [m, n])],
        [helper.make_tensor("b", TensorProto.FLOAT, [k, n], b.T.copy().tobytes(), raw=True)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def onnxruntime(a, b):
    m, k = a.shape
    n = b.shape[0]
    inference = session(m, n, k, b)
    binding = inference.io_binding()
    c = aligned((m, n), np.float32)
    binding.bind_input("a", "cpu", 0, np.float32, a.shape, a.ctypes.data)
    binding.bind_output("c", "cpu", 0, np.float32, c.shape, c.ctypes.data)

    def run():
        inference.run_with_iobinding(binding)
        return c
    return run


def openblas(a, b):
    bt = np.ascontiguousarray(b.T)
    c = aligned((a.shape[0], b.shape[0]), np.float32)
    return lambda: np.matmul(a, bt, out=c)


def mkl_sgemm(a, b):
    m, k = a.shape
    n = b.shape[0]
    bt = np.ascontiguousarray(b.T)
    c = aligned((m, n), np.float32)

    def run():
        mkl.cblas_sgemm(101, 111, 111, m, n, k, ctypes.c_float(1), pointer(a.ctypes.data), k, pointer(bt.ctypes.data), n,
                        ctypes.c_float(0), pointer(c.ctypes.data), n)
        return c
    return run


def best_times(runs, rounds=9, least=0.02):
    counts = []
    for run in runs:
        run()
        start = time.perf_counter()
        run()
        counts.append(max(1, int(least / (time.perf_counter() - start + 1e-9))))
    best = [1e9] * len(runs)
    for _ in range(rounds):
        for i, run in enumerate(runs):
            start = time.perf_counter()
            for _ in range(counts[i]):
                run()
            best[i] = min(best[i], (time.perf_counter() - start) / counts[i])
    return best


rng = np.random.default_rng(1)
names = [f"exact v{v}" for v in variants] + ["onnxruntime", "openblas"] + (["mkl"] if mkl else [])
print(f"{'m':>5} {'k':>5} {'n':>5}  " + " ".join(f"{n:>11}" for n in names) + "   GFLOP/s; exact v%d / ORT, / best other; equal to ORT" % variants[-1])
for k, n in [(384, 384), (384, 1536), (1536, 384)]:
    for m in [1, 5, 8, 12, 32, 45, 128, 512, 4096]:
        a = rng.standard_normal((m, k), np.float32)
        b = rng.standard_normal((n, k), np.float32)
        runs = [exact(v, a, b) for v in variants] + [onnxruntime(a, b), openblas(a, b)]
        if mkl:
            runs.append(mkl_sgemm(a, b))
        results = [run().copy() for run in runs]
        for result in results[1:]:
            assert np.allclose(result, results[0], rtol=1e-3, atol=1e-3)
        t = best_times(runs)
        g = [2 * m * n * k / x / 1e9 for x in t]
        others = g[len(variants):]
        mine = g[len(variants) - 1]
        same = np.array_equal(results[0].view(np.uint32), results[len(variants)].view(np.uint32))
        print(f"{m:5} {k:5} {n:5}  " + " ".join(f"{x:11.1f}" for x in g) + f"   {mine / others[0]:.2f} {mine / max(others):.2f} {same}", flush=True)



def whole(variant, a, b):
    m, k = a.shape
    n = b.shape[0]
    packed = aligned(kernels.pk_pack_size_i8(variant, n, k), np.uint8)
    kernels.pk_pack_i8(variant, n, k, b.ctypes.data, k, packed.ctypes.data)
    c = aligned((m, n), np.int32)

    def run():
        kernels.pk_contract_i8(variant, m, n, k, None, a.ctypes.data, k, packed.ctypes.data, c.ctypes.data, n)
        return c
    return run


def onnxruntime_i8(a, b):
    """Activations unsigned with a zero point, as dynamic quantisation makes them: its fastest form, with the same sums."""
    m, k = a.shape
    n = b.shape[0]
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b", "z"], ["c"])], "g",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [m, k])],
        [helper.make_tensor_value_info("c", TensorProto.INT32, [m, n])],
        [helper.make_tensor("b", TensorProto.INT8, [k, n], b.T.copy().tobytes(), raw=True),
         helper.make_tensor("z", TensorProto.UINT8, [], [128])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    inference = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = inference.io_binding()
    c = aligned((m, n), np.int32)
    unsigned = (a.astype(np.int16) + 128).astype(np.uint8)
    binding.bind_input("a", "cpu", 0, np.uint8, a.shape, unsigned.ctypes.data)
    binding.bind_output("c", "cpu", 0, np.int32, c.shape, c.ctypes.data)

    def run(held=unsigned):
        # The binding knows only the memory's address.
        inference.run_with_iobinding(binding)
        return c
    return run


def torch_product(product, a, b):
    x, y = torch.from_numpy(a), torch.from_numpy(b).t()
    return lambda: product(x, y).numpy()


for kind in ["f32", "i8"]:
    names = [f"exact v{v}" for v in variants] + ["onnxruntime"] + (["torch"] if torch else [])
    print(f"\n{kind}: {'m':>5} {'k':>5} {'n':>5}  " + " ".join(f"{n:>11}" for n in names) + "   Gop/s; exact / the best other")
    for m, k, n in [(1024, 1024, 1024), (2048, 2048, 2048), (128, 1536, 384), (4096, 384, 1536)]:
        if kind == "f32":
            a, b = (aligned((rows, k), np.float32) for rows in (m, n))
            for side in (a, b):
                side[:] = rng.standard_normal(side.shape, np.float32)
            runs = [exact(v, a, b) for v in variants] + [onnxruntime(a, b)]
            runs += [torch_product(torch.mm, a, b)] if torch else []
        else:
            a, b = (aligned((rows, k), np.int8) for rows in (m, n))
            for side in (a, b):
                side[:] = rng.integers(-128, 128, side.shape, np.int8)
            runs = [whole(v, a, b) for v in variants] + [onnxruntime_i8(a, b)]
            runs += [torch_product(torch._int_mm, a, b)] if torch else []
            results = [run().copy() for run in runs]
            assert all(np.array_equal(result, results[0]) for result in results)
        t = best_times(runs)
        g = [2 * m * n * k / x / 1e9 for x in t]
        mine, others = g[len(variants) - 1], g[len(variants):]
        print(f"{'':4} {m:5} {k:5} {n:5}  " + " ".join(f"{x:11.1f}" for x in g) + f"   {mine / max(others):.2f}", flush=True)

print("\nbias + GELU in the epilogue, against the bare contraction (m 128, k 384, n 1536):")
a = rng.standard_normal((128, 384), np.float32)
b = rng.standard_normal((1536, 384), np.float32)
bias = rng.standard_normal(1536).astype(np.float32)
for v in variants:
    t = best_times([exact(v, a, b), exact(v, a, b, bias)])
    print(f"  v{v}: {t[0] * 1e6:.0f} µs, {t[1] * 1e6:.0f} µs; {(t[1] - t[0]) / (128 * 1536) * 1e9:.2f} ns an element")

print("\nattention, 12 heads of 32:")
for v in variants:
    for length in [7, 32, 128, 256]:
        q, keys, values = (rng.standard_normal((length, 384), np.float32) for _ in range(3))
        out = np.zeros((length, 384), np.float32)
        scratch = np.zeros(kernels.pk_attention_scratch(length, length, 32), np.float32)
        t = kernels.time_attention(v, length, 12, 32, *(array.ctypes.data for array in (q, keys, values, out, scratch)))
        print(f"  v{v} length {length}: {t * 1e6:.0f} µs ({12 * 4 * length * length * 32 / t / 1e9:.1f} GFLOP/s)")

print("\nelements a nanosecond, 2,048 in the first-level cache:")
x = rng.standard_normal(2048).astype(np.float32)
y = np.zeros_like(x)
functions = ["exp", "log", "tanh", "erf", "sin", "cos", "sqrt", "gelu", "rsqrt", "sigmoid", "silu", "relu"]
for v in variants:
    line = [f"{name} {2048 / kernels.time_unary(v, code, 2048, x.ctypes.data, y.ctypes.data) / 1e9:.2f}"
            for code, name in enumerate(functions)]
    gain = rng.standard_normal(384).astype(np.float32)
    rows = rng.standard_normal((128, 384), np.float32)
    out = np.zeros_like(rows)
    t = kernels.time_layer_norm(v, 128, 384, *(array.ctypes.data for array in (rows, gain, gain, out)))
    print(f"  v{v}: " + ", ".join(line) + f"; layer norm of 384 {rows.size / t / 1e9:.2f}")
