"""Run an ncnn model in a process of its own, where it may die alone.

``python -m deployx_edge.runtimes.ncnn.wheel_process`` is started by ``wheel.py`` beside it, which
talks to it over standard input and output. Each message is a line of JSON, after which the
float32 bytes follow of the arrays that it announces:

    to it:    {"param", "bin", "precision", "threads", "is_large", "layers"}   first, once
              {"inputs": [{"blob", "shape", "batched"}…], "blobs": […], "measure"} + arrays
                                                                      for each run
    from it:  {"phase": …}                                            before it begins something
              {"inputs": […], "outputs": […]}                         once the model is loaded
              {"blob": …, "shape": […]} + array                       in the order asked for
              {"done": true, "tensors": {…}, "sums": {…}}  what half floats could not hold so far
              or {"error": …}, after which it ends
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any

import ncnn
import numpy as np

from deployx_edge.runtimes.ncnn.layer_sums import LayerSums
from deployx_edge.runtimes.ncnn.wheel_options import configure


class _RefusedError(Exception):
    """ncnn said no; the text is for the user."""


class _Child:
    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests = requests
        self._answers = answers
        self._net = ncnn.Net()
        self._pools: tuple[Any, ...] = ()
        self._sums: LayerSums | None = None

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
        if job["layers"]:
            self._sums = LayerSums(
                job["layers"], job["bin"], threads=job["threads"], is_large=job["is_large"]
            )
        self._say({"inputs": self._net.input_names(), "outputs": self._net.output_names()})

    def _run(self, count: int, request: dict[str, Any]) -> None:
        self._say({"phase": f"run {count}"})
        mats = []  # the extractor does not keep its inputs alive
        with self._net.create_extractor() as extractor:
            for entry in request["inputs"]:
                mats.append(self._read(entry))
                if extractor.input(entry["blob"], mats[-1]) != 0:
                    raise _RefusedError(f"ncnn refused the input blob '{entry['blob']}'")
            if request["measure"] and self._sums is not None:
                self._measure(extractor, self._sums, request["blobs"])
            else:
                for blob in request["blobs"]:
                    # What is asked for in the order of the layers is let go once it is used.
                    self._show(blob, self._extracted(extractor, blob))
        found = {} if self._sums is None else self._sums.found
        self._say({"done": True, **found})

    def _measure(self, extractor: Any, sums: LayerSums, wanted: Sequence[str]) -> None:
        """Look at every blob in the order of the layers, and show those that are wanted."""
        sums.begin()
        for layer in sums.layers:
            for blob in layer["tops"]:
                try:
                    array = self._extracted(extractor, blob)
                except _RefusedError:  # nobody reads it, or it is told where it is wanted
                    if blob in wanted:
                        raise
                    continue
                sums.take(blob, array, is_input=layer["type"] == "Input")
                if blob in wanted:
                    self._show(blob, array)
                del array

    def _extracted(self, extractor: Any, blob: str) -> Any:
        """See ``extracted``; where memory counts, in what a blob lay in that is over."""
        return extracted(extractor, blob, self._net.opt if self._pools else None)

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


def extracted(extractor: Any, blob: str, option: Any = None) -> Any:
    """A blob of a run as float32, in ncnn's dimensions; an error where there is none.

    It may look into ncnn's memory, where channels do not follow each other at once. With the
    net's ``option`` its allocator is used, which ncnn does not do: new pages for each blob.
    """
    code, mat = extractor.extract(blob, 0 if option is None else 1)
    if option is not None and mat.elembits() != 32:
        code, mat = extractor.extract(blob)
    elif option is not None and mat.elempack > 1:
        packed, mat = mat, ncnn.Mat()
        ncnn.convert_packing(packed, mat, 1, option)
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
