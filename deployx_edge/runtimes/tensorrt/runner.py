"""ONNX Runtime in TensorRT's place, for proofs only: what the files say is computed here."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from deployx_edge.runtime import ONNX_ROLE
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.onnx_bfloat16 import in_floats
from deployx_edge.runtimes.onnx_runner import OnnxFileRunner
from deployx_edge.runtimes.runner import Arrays, Culprit, OpenModel


class TensorrtRunner(OnnxFileRunner):
    """``Runner`` for TensorRT's files; of those in bfloat16 one that ONNX Runtime can run."""

    @contextmanager
    def open(self, model: ConvertedModel) -> Iterator[OpenModel]:
        """See ``Runner``."""
        with _runnable(model) as runnable, super().open(runnable) as opened:
            yield opened

    def culprit(self, model: ConvertedModel, inputs: Sequence[Arrays]) -> Culprit | None:
        """See ``Runner``."""
        with _runnable(model) as runnable:
            return super().culprit(runnable, inputs)


@contextmanager
def _runnable(model: ConvertedModel) -> Iterator[ConvertedModel]:
    if model.precision != "bf16":
        yield model
        return
    import onnx

    with tempfile.TemporaryDirectory(prefix="deployx-edge-bfloat16-") as folder:
        path = Path(folder) / model.path(ONNX_ROLE).name
        onnx.save(in_floats(onnx.load(model.path(ONNX_ROLE))), path)
        yield replace(model, files=((ONNX_ROLE, path),))
