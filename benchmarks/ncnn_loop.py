"""ncnn's Python wheel, timed as the worker times itself: one nanosecond sample a line.

ncnn_loop.py PARAM BIN THREADS ITERATIONS OUTPUT INPUT=D0xD1x…
"""

from __future__ import annotations

import sys
import time

import ncnn
import numpy


def main() -> None:
    param, weights, threads, iterations, output, *shapes = sys.argv[1:]
    net = ncnn.Net()
    net.opt.num_threads = int(threads)
    for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, name, False)
    assert net.load_param(param) == 0
    assert net.load_model(weights) == 0
    generator = numpy.random.default_rng(0)
    inputs = {}
    for word in shapes:
        name, _, shape = word.partition("=")
        dims = tuple(int(size) for size in shape.split("x"))
        inputs[name] = ncnn.Mat(generator.random(dims, dtype=numpy.float32)).clone()
    samples = []
    for _ in range(10 + int(iterations)):
        extractor = net.create_extractor()
        for name, mat in inputs.items():
            extractor.input(name, mat)
        started = time.perf_counter_ns()
        code, _ = extractor.extract(output)
        samples.append(time.perf_counter_ns() - started)
        assert code == 0
    print("\n".join(map(str, samples[10:])))


if __name__ == "__main__":
    main()
