"""ResNet-50's shape in ONNX: `make FOLDER` writes it with random weights and images, `check` holds what Plasma gave against ONNX Runtime's outputs, `run` times ONNX Runtime
(one line of JSON), `table` prints what both took."""
import argparse
import json
import os
import statistics
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

parser = argparse.ArgumentParser()
parser.add_argument("what", choices=["make", "check", "run", "table"])
parser.add_argument("folder")
parser.add_argument("--batch", type=int, default=1)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--seconds", type=float, default=3)
parser.add_argument("--rounds", type=int, default=3)
options = parser.parse_args()
path = os.path.join(options.folder, "resnet.onnx")


def network(random):
    """Blocks of 1×1, 3×3, 1×1 as an exporter writes them for inference: normalisation is part of the convolutions' weights and biases."""
    nodes, weights = [], []

    def constant(array):
        weights.append(numpy_helper.from_array(array.astype(np.float32), f"weight{len(weights)}"))
        return weights[-1].name

    def op(kind, *inputs, **attributes):
        nodes.append(helper.make_node(kind, inputs, [f"value{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def convolution(x, channels, results, kernel, stride, gain=1.0):
        scale = gain * np.sqrt(2 / (channels * kernel * kernel))
        weight = constant(random.standard_normal((results, channels, kernel, kernel)) * scale)
        bias = constant(random.standard_normal(results) * 0.1)
        return op("Conv", x, weight, bias, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4)

    x = op("Relu", convolution("image", 3, 64, 7, 2))
    x = op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for stage, (blocks, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)]):
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 0 else 1
            y = op("Relu", convolution(x, channels, width, 1, 1))
            y = op("Relu", convolution(y, width, width, 3, stride))
            y = convolution(y, width, 4 * width, 1, 1, 0.5)
            shortcut = x if block > 0 else convolution(x, channels, 4 * width, 1, stride, 0.7)
            x = op("Relu", op("Add", y, shortcut))
            channels = 4 * width
    x = op("Flatten", op("GlobalAveragePool", x), axis=1)
    last = [x, constant(random.standard_normal((1000, 2048)) * 0.02), constant(random.standard_normal(1000) * 0.1)]
    nodes.append(helper.make_node("Gemm", last, ["logits"], transB=1))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 224, 224])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1000])
    graph = helper.make_graph(nodes, "resnet", [image], [logits], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def session(threads):
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    return ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


def image(batch):
    return np.load(os.path.join(options.folder, f"image{batch}.npy"))


if options.what == "make":
    random = np.random.default_rng(1)
    os.makedirs(options.folder, exist_ok=True)
    onnx.save(network(random), path)
    for batch in (1, 8):
        np.save(os.path.join(options.folder, f"image{batch}.npy"), random.standard_normal((batch, 3, 224, 224)).astype(np.float32))
elif options.what == "check":
    expected = session(2).run(None, {"image": image(options.batch)})[0]
    found = np.load(os.path.join(options.folder, f"out{options.batch}", "logits.npy"))
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    print(f"batch {options.batch}: the outputs differ by {difference:.1e} of the largest")
    if not difference <= 1e-4:
        raise SystemExit("The outputs differ: the comparison would mean nothing.")
elif options.what == "run":
    run, feed = session(options.threads), {"image": image(options.batch)}
    run.run(None, feed)
    times, processor, end = [], [], time.perf_counter() + options.seconds
    while time.perf_counter() < end or len(times) < 3:
        start, used = time.perf_counter(), time.process_time()
        run.run(None, feed)
        times.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    print(json.dumps({"runtime": "onnxruntime", "version": ort.__version__, "threads": options.threads, "batch": options.batch,
                      "runs": len(times), "seconds": statistics.median(times), "processorSeconds": min(processor)}))
else:
    ours, theirs = ([json.loads(line) for line in open(os.path.join(options.folder, name))] for name in ("plasma", "onnxruntime"))
    print(f"\nPlasma ({ours[0]['kernels']}), ONNX Runtime {theirs[0]['version']} fp32; each round: median by the clock, least processor time of an image\n")
    print("| threads | batch | Plasma, images/s | ONNX Runtime | ratio | Plasma, processor ms an image | ONNX Runtime | ratio |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for start in range(0, len(theirs), options.rounds):
        pairs = list(zip(ours, theirs))[start:start + options.rounds]
        batch = pairs[0][1]["batch"]

        def cells(key, form):
            a, b = [x[key] for x, _ in pairs], [y[key] for _, y in pairs]
            ratio = statistics.median(b) / statistics.median(a)
            return " | ".join([", ".join(form(x) for x in a), ", ".join(form(x) for x in b), f"{ratio:.2f}"])

        clock = cells("seconds", lambda x: f"{batch / x:.1f}")
        processor = cells("processorSeconds", lambda x: f"{1000 * x / batch:.1f}")
        print(f"| {pairs[0][1]['threads']} | {batch} | {clock} | {processor} |")
