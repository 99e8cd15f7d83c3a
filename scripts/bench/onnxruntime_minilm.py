#!/usr/bin/env python3
"""Times MiniLM in ONNX Runtime fp32, or with --int8 quantized dynamically: batch 1 and 32, sequence 32 and 128, one and two threads; one JSON line each.

Usage: onnxruntime_minilm.py [--model FOLDER] [--seconds S] [--check REFERENCE.json] [--int8]
Needs onnx, onnxruntime and numpy (scripts/bench/onnxruntime_minilm.sh makes a virtual environment in .cache/venv).
The graph is built from the safetensors with the fused operators that ONNX Runtime's own optimiser uses for BERT, so the
comparison is with its best form; --check compares it with reference embeddings first.
"""
import argparse
import json
import struct
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper


def weights(folder):
    with open(f"{folder}/model.safetensors", "rb") as f:
        (n,) = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(n))
        data = f.read()
    header.pop("__metadata__", None)
    return {
        k: np.frombuffer(data[v["data_offsets"][0] : v["data_offsets"][1]], "<f4").reshape(v["shape"])
        for k, v in header.items()
        if v["dtype"] == "F32"
    }


class Graph:
    """Nodes and initialisers of the encoder, written in order."""

    def __init__(self):
        self.nodes, self.initials, self.count = [], [], 0

    def const(self, array):
        self.count += 1
        name = f"c{self.count}"
        self.initials.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def op(self, kind, *inputs, outputs=1, domain="", **attributes):
        self.count += 1
        names = [f"t{self.count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names


def build(folder):
    config = json.load(open(f"{folder}/config.json"))
    w, g = weights(folder), Graph()
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    epsilon, ms = config["layer_norm_eps"], "com.microsoft"

    def norm(a, b, root):
        gain, bias = g.const(w[root + ".weight"]), g.const(w[root + ".bias"])
        return g.op("SkipLayerNormalization", a, b, gain, bias, domain=ms, epsilon=epsilon)

    def matmul(x, root):
        return g.op("MatMul", x, g.const(w[root + ".weight"].T))

    segment = w["embeddings.token_type_embeddings.weight"][0]
    words = g.op("Gather", g.const(w["embeddings.word_embeddings.weight"]), "input_ids")
    length = g.op("Gather", g.op("Shape", "input_ids"), g.const(np.int64(1)))
    rows = g.op("Range", g.const(np.int64(0)), length, g.const(np.int64(1)))
    places = g.op("Gather", g.const(w["embeddings.position_embeddings.weight"] + segment), rows)
    # SkipLayerNormalization broadcasts its second input over the batch when it has the first dimension 1.
    places = g.op("Unsqueeze", places, g.const(np.array([0], np.int64)))
    x = norm(words, places, "embeddings.LayerNorm")
    lengths = g.op("Cast", g.op("ReduceSum", "attention_mask", g.const(np.array([1], np.int64)), keepdims=0), to=TensorProto.INT32)
    for i in range(config["num_hidden_layers"]):
        root = f"encoder.layer.{i}."
        names = [root + f"attention.self.{n}" for n in ("query", "key", "value")]
        qkv = g.const(np.concatenate([w[n + ".weight"] for n in names]).T)
        bias = g.const(np.concatenate([w[n + ".bias"] for n in names]))
        context = g.op("Attention", x, qkv, bias, lengths, domain=ms, num_heads=heads)
        out = g.op("Add", matmul(context, root + "attention.output.dense"), g.const(w[root + "attention.output.dense.bias"]))
        x = norm(out, x, root + "attention.output.LayerNorm")
        inner = matmul(x, root + "intermediate.dense")
        inner = g.op("BiasGelu", inner, g.const(w[root + "intermediate.dense.bias"]), domain=ms)
        out = g.op("Add", matmul(inner, root + "output.dense"), g.const(w[root + "output.dense.bias"]))
        x = norm(out, x, root + "output.LayerNorm")
    axis1 = g.const(np.array([1], np.int64))
    mask = g.op("Unsqueeze", g.op("Cast", "attention_mask", to=TensorProto.FLOAT), g.const(np.array([2], np.int64)))
    total = g.op("ReduceSum", g.op("Mul", x, mask), axis1, keepdims=0)
    mean = g.op("Div", total, g.op("ReduceSum", mask, axis1, keepdims=0))
    g.nodes.append(helper.make_node("LpNormalization", [mean], ["embeddings"], axis=1, p=2))
    tokens = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "length"]) for n in ("input_ids", "attention_mask")]
    output = [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["batch", hidden])]
    graph = helper.make_graph(g.nodes, "minilm", tokens, output, g.initials)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ms, 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    return model.SerializeToString(), config["vocab_size"]


def session(model, threads):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def quantized(model):
    """Dynamic quantisation as ONNX Runtime's own tool does it, weights of eight bits, those of attention too."""
    import os
    import tempfile
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "f32.onnx"), os.path.join(folder, "int8.onnx")
        with open(source, "wb") as file:
            file.write(model)
        # What fused operators give, no shape inference knows.
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, extra_options={"DefaultTensorType": TensorProto.FLOAT})
        with open(target, "rb") as file:
            return file.read()


def check(model, path):
    """The lowest cosine over the reference's texts, each alone and without padding."""
    run, lowest = session(model, 1), 1.0
    for item in json.load(open(path))["items"]:
        ids = np.array([item["input_ids"]], np.int64)
        found = run.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0].astype(np.float64)
        expected = np.array(item["embedding"], np.float64)
        lowest = min(lowest, float(found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)))
    return lowest


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=".cache/all-MiniLM-L6-v2")
    parser.add_argument("--seconds", type=float, default=2.0, help="time of each measurement")
    parser.add_argument("--check", help="reference embeddings to compare with before timing")
    parser.add_argument("--int8", action="store_true", help="quantize dynamically")
    arguments = parser.parse_args()
    model, vocabulary = build(arguments.model)
    if arguments.int8:
        model = quantized(model)
    if arguments.check:
        lowest = check(model, arguments.check)
        print(f"the least cosine over the reference's texts is {lowest:.6f}", file=sys.stderr)
        if lowest < (0.5 if arguments.int8 else 0.999999):
            sys.exit(f"ONNX Runtime's embeddings differ from the reference (cosine {lowest}): the comparison would mean nothing.")
    for threads in (1, 2):
        run = session(model, threads)
        for batch in (1, 32):
            for length in (32, 128):
                ids = np.random.default_rng(1).integers(1000, vocabulary, (batch, length), np.int64)
                feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
                for _ in range(3):
                    run.run(None, feed)
                times, end = [], time.perf_counter() + arguments.seconds
                while time.perf_counter() < end or len(times) < 3:
                    start = time.perf_counter()
                    run.run(None, feed)
                    times.append(time.perf_counter() - start)
                median = sorted(times)[len(times) // 2]
                print(json.dumps({
                    "runtime": "onnxruntime", "version": ort.__version__, "threads": threads, "batch": batch,
                    "sequence": length, "runs": len(times), "seconds": round(median, 6),
                    "embeddingsPerSecond": round(batch / median, 2),
                }), flush=True)


main()
