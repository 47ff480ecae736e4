"""PPQ, from the outside: a model and samples go in, the numbers of int8 layers come out."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from deployx_edge.errors import DeployxError, MissingToolError, ModelError
from deployx_edge.process import run_lines
from deployx_edge.quantization.ppq_telling import PHASE, SHARE
from deployx_edge.quantization.values import (
    USUAL_FORM,
    NodeForm,
    QuantizationSettings,
    QuantizedLayer,
    WeightLayout,
)

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

_RESULT = "result.json"
_TAIL = 12  # lines of its output in an error


@dataclass(frozen=True, kw_only=True)
class PpqModel:
    """A model for PPQ: its graph, inputs and outputs by name, outputs of the first sample."""

    model: onnx.ModelProto
    inputs: tuple[str, ...]
    expected: Arrays


@dataclass(frozen=True, kw_only=True)
class PpqResult:
    """What came of it.

    ``layers`` by node; ``floats`` the parameters that equalization changed, by node and place
    among its inputs (None where it was not asked for); ``exported`` the model with Q and DQ nodes
    where that was asked for. ``foreign`` are the nodes that PPQ does not compute itself, with the
    reason. ``seconds`` is the whole time, ``peak_bytes`` the process's memory.
    """

    layers: Mapping[str, QuantizedLayer]
    floats: Mapping[tuple[str, int], NDArray[Any]]
    exported: bytes | None
    seconds: float
    peak_bytes: int
    foreign: Mapping[str, str] = field(default_factory=dict)


class PpqProgress(Protocol):
    """Told how far PPQ is."""

    def phase(self, text: str) -> None:
        """A phase begins."""

    def share(self, done: int, total: int) -> None:
        """So much of it is done."""


def ppq_version() -> str:
    """The version of esp-ppq; MissingToolError where it, or torch, is not installed."""
    from importlib import metadata
    from importlib.util import find_spec

    for package, module in (("esp-ppq", "esp_ppq"), ("torch", "torch")):
        if find_spec(module) is None:
            raise MissingToolError(
                f"Quantization needs the Python package {package}, which is not installed.",
                remedy="Install it with: pip install 'deployx-edge[quantize]'",
            )
    return metadata.version("esp-ppq")


def quantize_layers(
    model: PpqModel,
    samples: Iterable[Arrays],
    layers: Mapping[str, WeightLayout],
    settings: QuantizationSettings,
    progress: PpqProgress,
) -> PpqResult:
    """Scales and weights for the layers of those nodes, as ncnn's int8 layers take them.

    Raises ModelError where PPQ cannot run the model, or not as ONNX Runtime does.
    """
    job = {"kind": "layers", "layers": {name: asdict(entry) for name, entry in layers.items()}}
    with _worked(model, samples, job, settings, progress) as (folder, result, seconds):
        return PpqResult(
            layers=_layers(folder, layers, result["activation_scales"]),
            floats=_floats(folder, result["changed"]),
            exported=None,
            seconds=seconds,
            peak_bytes=result["peak_bytes"],
            foreign=result["foreign"],
        )


def quantize_with_nodes(
    model: PpqModel,
    samples: Iterable[Arrays],
    keep_float: Sequence[str],
    settings: QuantizationSettings,
    progress: PpqProgress,
    form: NodeForm = USUAL_FORM,
) -> PpqResult:
    """The model with QuantizeLinear and DequantizeLinear nodes (see ``quantize_layers``)."""
    nodes = {"keep_float": list(keep_float), "form": asdict(form)}
    job = {"kind": "nodes", "layers": {}, **nodes}
    with _worked(model, samples, job, settings, progress) as (folder, result, seconds):
        return PpqResult(
            layers={},
            floats={},
            exported=(folder / "exported.onnx").read_bytes(),
            seconds=seconds,
            peak_bytes=result["peak_bytes"],
            foreign=result["foreign"],
        )


@contextmanager
def _worked(
    model: PpqModel,
    samples: Iterable[Arrays],
    job: Mapping[str, Any],
    settings: QuantizationSettings,
    progress: PpqProgress,
) -> Iterator[tuple[Path, dict[str, Any], float]]:
    """The folder in which PPQ did the job, what it says of it, and the seconds it took."""
    import numpy as np
    import onnx

    ppq_version()
    with tempfile.TemporaryDirectory(prefix="deployx-edge-quantize-") as name:
        folder = Path(name)
        onnx.save(model.model, folder / "model.onnx")
        count = 0
        for count, arrays in enumerate(samples, start=1):
            ordered = {f"input_{i}": arrays[each] for i, each in enumerate(model.inputs)}
            np.savez(folder / f"sample_{count - 1}.npz", **ordered)  # type: ignore[arg-type]
        expected = {f"output_{i}": array for i, array in enumerate(model.expected.values())}
        np.savez(folder / "expected.npz", **expected)  # type: ignore[arg-type]
        whole = {
            **job,
            "samples": count,
            "inputs": list(model.inputs),
            "outputs": list(model.expected),
            "settings": asdict(settings),
        }
        (folder / "job.json").write_text(json.dumps(whole), encoding="utf-8")
        started = time.monotonic()
        run_child(folder, progress)
        yield folder, _result(folder), time.monotonic() - started


def run_child(folder: Path, progress: PpqProgress) -> None:
    """Have the job in ``folder`` done in a process of its own; DeployxError where that died."""
    said: list[str] = []

    def on_line(line: str) -> None:
        if line.startswith(PHASE):
            progress.phase(line.removeprefix(PHASE))
        elif line.startswith(SHARE):
            done, total = line.removeprefix(SHARE).split()
            progress.share(int(done), int(total))
        elif line.strip():
            said.append(line.strip())

    package_parent = str(Path(__file__).resolve().parents[2])
    paths = [package_parent, os.environ.get("PYTHONPATH", "")]
    code = run_lines(
        [sys.executable, "-m", "deployx_edge.quantization.ppq_child", folder],
        on_line,
        env={
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            # Threads that wait for work by turning round take it from whatever else is running.
            "OMP_WAIT_POLICY": "PASSIVE",
            "ORT_DISABLE_TELEMETRY": "1",
        },
    )
    if (folder / _RESULT).is_file():
        return
    if code < 0:
        raise DeployxError(
            f"The process with PPQ was ended by signal {-code}.",
            remedy="Where memory ran out, take fewer samples: --count 32.",
        )
    raise DeployxError(
        f"The process with PPQ ended with exit code {code}: {' '.join(said[-_TAIL:])[-800:]}"
    )


def _result(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / _RESULT).read_text(encoding="utf-8"))
    if "error" in result:
        raise ModelError(
            f"PPQ cannot quantize the model: {result['error']}.",
            remedy="Cut off what it does not need (deployx-edge extract), or rewrite it "
            "(docs/write-a-rewriter.md).",
        )
    return result


def _layers(
    folder: Path, layouts: Mapping[str, WeightLayout], activation_scales: Mapping[str, float]
) -> dict[str, QuantizedLayer]:
    import numpy as np

    with np.load(folder / "layers.npz") as file:
        return {
            name: QuantizedLayer(
                quantized=file[f"quantized_{index}"],
                weight_scales=file[f"scales_{index}"],
                axis=layout.axis,
                activation_scale=activation_scales[name],
                bias=file[f"bias_{index}"] if f"bias_{index}" in file.files else None,
            )
            for index, (name, layout) in enumerate(layouts.items())
        }


def _floats(
    folder: Path, changed: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], NDArray[Any]]:
    import numpy as np

    if not changed:
        return {}
    with np.load(folder / "changed.npz") as file:
        return {
            (name, place): file[f"changed_{index}"] for index, (name, place) in enumerate(changed)
        }
