"""The small decoder of docs/training.md in PyTorch, on the weights and batches that `plasma train` draws: one line of JSON."""
import argparse, json, math, statistics, time

import numpy as np
import torch
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--text", required=True)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--steps", type=int, default=40)
parser.add_argument("--compile", action="store_true", help="through torch.compile, which needs a C++ compiler")
options = parser.parse_args()
torch.set_num_threads(options.threads)
vocabulary, width, layers, heads, context, batch = 256, 128, 4, 4, 128, 16
mask = (1 << 64) - 1


def splitmix64(values):
    x = np.asarray(values, dtype=np.uint64)
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


shapes = [("tok", (vocabulary, width)), ("pos", (context, width))]
for _ in range(layers):
    shapes += [("norm.w", (width,)), ("norm.b", (width,)), ("qkv.w", (3 * width, width)), ("qkv.b", (3 * width,))]
    shapes += [("o.w", (width, width)), ("o.b", (width,)), ("norm.w", (width,)), ("norm.b", (width,))]
    shapes += [("f1.w", (4 * width, width)), ("f1.b", (4 * width,)), ("f2.w", (width, 4 * width)), ("f2.b", (width,))]
shapes += [("norm.w", (width,)), ("norm.b", (width,)), ("head.w", (vocabulary, width))]
weights = []
for number, (name, shape) in enumerate(shapes):
    count = math.prod(shape)
    if len(shape) == 1:
        values = np.full(count, 1.0 if name.endswith(".w") else 0.0, np.float32)
    else:
        draws = splitmix64(np.arange(count, dtype=np.uint64) + np.uint64(number << 32)) >> np.uint64(40)
        values = (draws.astype(np.float32) * np.float32(2**-24) - np.float32(0.5)) * np.float32(2 * math.sqrt(3) * 0.02)
    weights.append(torch.from_numpy(values.reshape(shape)).requires_grad_())
text = np.frombuffer(open(options.text, "rb").read(), np.uint8).astype(np.int64)


def rows(step):
    first = (1 << 40) + batch * step
    starts = (splitmix64(np.arange(first, first + batch, dtype=np.uint64)) % np.uint64(len(text) - context - 1)).astype(np.int64)
    found = text[starts[:, None] + np.arange(context + 1)]
    return torch.from_numpy(found[:, :-1].copy()), torch.from_numpy(found[:, 1:].copy())


def loss(x, y):
    rest = iter(weights)
    take = lambda: next(rest)
    hidden = take()[x] + take()
    for _ in range(layers):
        normed = F.layer_norm(hidden, (width,), take(), take(), 1e-5)
        parts = F.linear(normed, take(), take()).view(batch, context, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*parts, is_causal=True).transpose(1, 2).reshape(batch, context, width)
        hidden = hidden + F.linear(attended, take(), take())
        normed = F.layer_norm(hidden, (width,), take(), take(), 1e-5)
        hidden = hidden + F.linear(F.gelu(F.linear(normed, take(), take())), take(), take())
    normed = F.layer_norm(hidden, (width,), take(), take(), 1e-5)
    return F.cross_entropy((normed @ take().T).view(-1, vocabulary), y.view(-1))


if options.compile:
    loss = torch.compile(loss, dynamic=False)
optimizer = torch.optim.AdamW(weights, lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.01, fused=True)
times, losses = [], []
for step in range(options.steps):
    x, y = rows(step)
    start = time.perf_counter()
    value = loss(x, y)
    optimizer.zero_grad(set_to_none=True)
    value.backward()
    optimizer.step()
    losses.append(value.item())
    times.append(time.perf_counter() - start)
steady = times[5:] or times
print(json.dumps({"stepsPerSecond": 1 / statistics.median(steady), "firstLoss": losses[0], "lastLoss": losses[-1]}))
