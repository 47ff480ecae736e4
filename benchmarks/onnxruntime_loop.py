"""ONNX Runtime's Python wheel, timed as the worker times itself: one nanosecond sample a line.

onnxruntime_loop.py MODEL THREADS ITERATIONS INPUT=D0xD1x…

Inputs and outputs are bound once, as in the worker, so that only the run is timed.
"""

from __future__ import annotations

import os
import sys
import time

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy
import onnxruntime


def main() -> None:
    model, threads, iterations, *words = sys.argv[1:]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    generator = numpy.random.default_rng(0)
    for word in words:
        name, _, shape = word.partition("=")
        dims = tuple(int(size) for size in shape.split("x"))
        binding.bind_cpu_input(name, generator.random(dims, dtype=numpy.float32))
    for output in session.get_outputs():
        binding.bind_output(output.name)
    samples = []
    for _ in range(10 + int(iterations)):
        started = time.perf_counter_ns()
        session.run_with_iobinding(binding)
        samples.append(time.perf_counter_ns() - started)
    print("\n".join(map(str, samples[10:])))


if __name__ == "__main__":
    main()
