"""Run an ncnn model in a process of its own, where it may die alone.

``python -m deployx_edge.runtimes.ncnn_child`` is started by ``runtimes/ncnn.py`` only, which
talks to it over standard input and output. Each message is a line of JSON, after which the
float32 bytes follow of the arrays that it announces:

    to it:    {"param", "bin", "precision", "threads", "is_large"}   first, once
              {"inputs": [{"blob", "shape", "batched"}…], "blobs": […]} + arrays   for each run
    from it:  {"phase": …}                                            before it begins something
              {"inputs": […], "outputs": […]}                         once the model is loaded
              {"blob": …, "shape": […]} + array                       in the order asked for
              {"done": true}  or  {"error": …}, after which it ends
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import IO, Any

import ncnn
import numpy as np


def configure(net: Any, precision: str, threads: int, *, is_large: bool = False) -> None:
    """Set the options that ``precision`` stands for; ``is_large`` as in ``NcnnModel``."""
    half = precision == "fp16"
    net.opt.num_threads = threads
    # Both hold the image several times more, transformed or as columns: 2.4 GB of a full HD one
    # with 32 channels, which takes 1.3 GB and no more time without them.
    net.opt.use_winograd_convolution = net.opt.use_sgemm_convolution = not is_large
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = half
    net.opt.use_fp16_storage = half
    net.opt.use_fp16_arithmetic = half
    net.opt.use_bf16_packed = precision == "bf16"
    net.opt.use_bf16_storage = precision == "bf16"


class _RefusedError(Exception):
    """ncnn said no; the text is for the user."""


class _Child:
    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests = requests
        self._answers = answers
        self._net = ncnn.Net()
        self._pools: tuple[Any, ...] = ()

    def serve(self) -> int:
        """Load the model and run it until nobody asks any more; the exit code."""
        try:
            self._load(json.loads(self._requests.readline()))
            for count, line in enumerate(iter(self._requests.readline, b""), start=1):
                self._run(count, json.loads(line))
        except _RefusedError as refusal:
            self._say({"error": str(refusal)})
            return 1
        return 0

    def _say(self, message: dict[str, Any], array: Any = None) -> None:
        self._answers.write(json.dumps(message).encode() + b"\n")
        if array is not None:
            for part in _contiguous(array):
                self._answers.write(part.data)
        self._answers.flush()

    def _load(self, job: dict[str, Any]) -> None:
        self._say({"phase": "load"})
        configure(self._net, job["precision"], job["threads"], is_large=job["is_large"])
        if job["is_large"]:  # else ncnn's own pools keep what was freed, which is a tensor or two
            self._pools = ncnn.UnlockedPoolAllocator(), ncnn.PoolAllocator()
            self._net.opt.blob_allocator, self._net.opt.workspace_allocator = self._pools
        if self._net.load_param(job["param"]) != 0:
            raise _RefusedError("ncnn refused the .param file")
        if self._net.load_model(job["bin"]) != 0:
            raise _RefusedError("ncnn refused the .bin file")
        self._say({"inputs": self._net.input_names(), "outputs": self._net.output_names()})

    def _run(self, count: int, request: dict[str, Any]) -> None:
        self._say({"phase": f"run {count}"})
        mats = []  # the extractor does not keep its inputs alive
        with self._net.create_extractor() as extractor:
            for entry in request["inputs"]:
                mats.append(self._read(entry))
                if extractor.input(entry["blob"], mats[-1]) != 0:
                    raise _RefusedError(f"ncnn refused the input blob '{entry['blob']}'")
            for blob in request["blobs"]:
                # What is asked for in the order of the layers is let go once it is used.
                self._show(blob, extracted(extractor, blob))
                for pool in self._pools:
                    pool.clear()
        self._say({"done": True})

    def _show(self, blob: str, array: Any) -> None:
        self._say({"blob": blob, "shape": array.shape}, array)

    def _read(self, entry: dict[str, Any]) -> Any:
        array = np.empty(entry["shape"], dtype=np.float32)
        view = array.data.cast("B") if array.size else memoryview(b"")
        got = 0
        while got < array.nbytes:
            count = self._requests.readinto(view[got:])  # type: ignore[attr-defined]
            if not count:
                raise _RefusedError("the input ended early")
            got += count
        return ncnn.Mat(array, batch_index=0 if entry["batched"] else 233).clone()


def extracted(extractor: Any, blob: str) -> Any:
    """A blob of a run as float32, in ncnn's dimensions; an error where there is none.

    It may look into ncnn's memory, where channels do not follow each other at once.
    """
    code, mat = extractor.extract(blob)
    if code != 0:
        raise _RefusedError(f"ncnn could not compute the output blob '{blob}' (code {code})")
    if mat.dims == 0:
        raise _RefusedError(f"ncnn gave nothing for the output blob '{blob}'")
    array = mat.numpy(batch_index=0) if mat.n > 1 else mat.numpy()
    return np.asarray(array, dtype=np.float32)


def _contiguous(array: Any) -> Iterator[Any]:
    """The parts of the array that lie in one piece each."""
    if array.flags.c_contiguous or array.ndim < 2:
        yield np.ascontiguousarray(array)
        return
    for part in array:
        yield from _contiguous(part)


def main() -> int:
    """Serve on standard input and output; what ncnn prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return _Child(sys.stdin.buffer, answers).serve()


if __name__ == "__main__":
    sys.exit(main())
