#!/usr/bin/env python3
"""Times MiniLM in PyTorch (eager, compiled) and OpenVINO, f32: batch 1 and 32, sequence 32 and 128, one and two threads; one JSON line each.

Usage: minilm_peers.py RUNTIME [--model FOLDER] [--seconds S] [--check REFERENCE.json]     RUNTIME: eager, compiled, openvino
Needs torch and numpy, openvino for the last (scripts/bench/minilm_peers.sh makes a virtual environment in .cache/torch). Sentences of a batch have one
length, so nothing is masked; attention is PyTorch's own fused one, and queries, keys and values are one product.
"""
import argparse
import json
import struct
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F


class Encoder(torch.nn.Module):
    def __init__(self, folder):
        super().__init__()
        self.config = json.load(open(f"{folder}/config.json"))
        with open(f"{folder}/model.safetensors", "rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(size))
            data = file.read()
        header.pop("__metadata__", None)
        found = {
            name: torch.from_numpy(np.frombuffer(data[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"]).copy())
            for name, entry in header.items()
            if entry["dtype"] == "F32"
        }
        keep = lambda value: torch.nn.Parameter(value, requires_grad=False)
        self.words = keep(found["embeddings.word_embeddings.weight"])
        self.places = keep(found["embeddings.position_embeddings.weight"] + found["embeddings.token_type_embeddings.weight"][0])
        self.layers = torch.nn.ParameterList()
        self.first = torch.nn.ParameterList([keep(found[f"embeddings.LayerNorm.{part}"]) for part in ("weight", "bias")])
        for number in range(self.config["num_hidden_layers"]):
            root = f"encoder.layer.{number}."
            joined = [root + f"attention.self.{name}." for name in ("query", "key", "value")]
            for part in ("weight", "bias"):
                self.layers.append(keep(torch.cat([found[name + part] for name in joined])))
            for name in ("attention.output.dense", "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"):
                for part in ("weight", "bias"):
                    self.layers.append(keep(found[f"{root}{name}.{part}"]))

    def forward(self, ids):
        width, heads = self.config["hidden_size"], self.config["num_attention_heads"]
        epsilon = self.config["layer_norm_eps"]
        batch, length = ids.shape
        norm = lambda x, gain, bias: F.layer_norm(x, (width,), gain, bias, epsilon)
        x = norm(F.embedding(ids, self.words) + self.places[:length], *self.first)
        for number in range(0, len(self.layers), 12):
            qkv, qkv_bias, out, out_bias, gain, bias, inner, inner_bias, outer, outer_bias, last, last_bias = self.layers[number : number + 12]
            q, k, v = F.linear(x, qkv, qkv_bias).view(batch, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4).unbind(0)
            attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, width)
            x = norm(F.linear(attended, out, out_bias) + x, gain, bias)
            x = norm(F.linear(F.gelu(F.linear(x, inner, inner_bias)), outer, outer_bias) + x, last, last_bias)
        return F.normalize(x.mean(1), dim=1)


def runner(runtime, model, shape, threads):
    if runtime == "eager":
        return model
    if runtime == "compiled":
        # Each shape alone: the compiler gives up after so many of one function.
        torch._dynamo.reset()
        return torch.compile(model, dynamic=False)
    import openvino

    with torch.no_grad():
        graph = openvino.convert_model(model, example_input=torch.ones(shape, dtype=torch.int64), input=[("ids", list(shape), np.int64)])
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(graph, "CPU", settings).create_infer_request()
    return lambda ids: torch.from_numpy(request.infer([ids.numpy()])[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runtime", choices=["eager", "compiled", "openvino"])
    parser.add_argument("--model", default=".cache/all-MiniLM-L6-v2")
    parser.add_argument("--seconds", type=float, default=2.0, help="time of each measurement")
    parser.add_argument("--check", help="reference embeddings to compare with before timing")
    arguments = parser.parse_args()
    model = Encoder(arguments.model).eval()
    version = torch.__version__
    if arguments.runtime == "openvino":
        import openvino

        version = openvino.__version__
    with torch.inference_mode(arguments.runtime != "compiled"), torch.no_grad():
        if arguments.check:
            lowest = 1.0
            # Those of one length, so that few shapes are compiled.
            items = json.load(open(arguments.check))["items"]
            for item in items if arguments.runtime == "eager" else items[:3]:
                ids = torch.tensor([item["input_ids"]], dtype=torch.int64)
                found = runner(arguments.runtime, model, ids.shape, 1)(ids)[0].double().numpy()
                expected = np.array(item["embedding"])
                lowest = min(lowest, float(found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)))
            print(f"{arguments.runtime}: the least cosine over the reference's texts is {lowest:.6f}", file=sys.stderr)
            if lowest < 0.99999:
                sys.exit(f"the embeddings differ from the reference (cosine {lowest}): the comparison would mean nothing.")
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for batch in (1, 32):
                for length in (32, 128):
                    run = runner(arguments.runtime, model, (batch, length), threads)
                    ids = torch.from_numpy(np.random.default_rng(1).integers(1000, model.config["vocab_size"], (batch, length), np.int64))
                    for _ in range(3):
                        run(ids)
                    times, end = [], time.perf_counter() + arguments.seconds
                    while time.perf_counter() < end or len(times) < 3:
                        start = time.perf_counter()
                        run(ids)
                        times.append(time.perf_counter() - start)
                    median = sorted(times)[len(times) // 2]
                    print(json.dumps({
                        "runtime": arguments.runtime, "version": version, "threads": threads, "batch": batch, "sequence": length,
                        "runs": len(times), "seconds": round(median, 6), "embeddingsPerSecond": round(batch / median, 2),
                    }), flush=True)


main()
