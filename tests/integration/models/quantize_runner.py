"""Quantizes cases of the matrix of operators, all in one process, and says what came of each.

``python -m tests.integration.models.quantize_runner FILE RUNTIME NAMES.json`` writes two lines of
JSON to FILE for each case: its name before it is begun, and what came of it. PPQ and ncnn have
processes of their own where users quantize; here their ``main`` is called, or most of the time
would go into starting Python. ``quantize_all`` starts such a process, another one after a case
that killed its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import ncnn
import numpy as np
import onnx

from deployx_edge.differences import WholeValues
from deployx_edge.errors import DeployxError, ModelError
from deployx_edge.operator_facts import operator_of_layer
from deployx_edge.quantization import ppq, ppq_child
from deployx_edge.quantization.values import PRESETS
from deployx_edge.runtimes.converter import HalfOverflows
from deployx_edge.runtimes.ncnn import runner, wheel_options, wheel_process
from deployx_edge.runtimes.ncnn import wheel as ncnn_runs
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.quantize.quantize import Quantized, QuantizeOptions, quantize
from tests.integration.models.between_layers import SAMPLES, QuantizeCase, arrays, between_layers
from tests.integration.models.operator_cases import all_cases
from tests.integration.models.operator_runner import Outcome

# Of the largest value that the data leads to: layers before it have int8 weights by then.
_STEP_TOLERANCE = 0.05
_INT8_LARGEST = 127
_ROOT = Path(__file__).resolve().parents[3]


def check(case: QuantizeCase, runtime: str, folder: Path) -> Outcome:
    """Quantize the case: right, or refused as ``convert`` refuses it."""
    path = folder / "case.onnx"
    onnx.save(case.model, path)
    samples = [arrays(case, index) for index in range(SAMPLES)]
    joined = {name: _joined([sample[name] for sample in samples]) for name in samples[0]}
    np.savez(folder / "data.npz", **joined)
    options = QuantizeOptions(
        preset="fast",
        settings=PRESETS["fast"],
        count=SAMPLES,
        bundle=BundleOptions(runtime=runtime),
    )
    try:
        made = quantize(path, folder / "data.npz", folder / "made", options)
    except DeployxError as error:
        try:
            make_bundle(path, folder / "float", BundleOptions(runtime=runtime))
        except DeployxError:
            return Outcome(verdict="refused", detail=str(error))
        return Outcome(verdict="unlike convert", detail=str(error))
    wrong = _wrong_layers(case, made, path, samples)
    return Outcome(verdict="wrong" if wrong else "right", detail="; ".join(wrong))


def _joined(found: list[np.ndarray]) -> np.ndarray:
    """One array of all samples: along the batch axis where the input has one."""
    has_batch = found[0].ndim > 1 and found[0].shape[0] == 1
    return np.concatenate(found) if has_batch else np.stack(found)


def _wrong_layers(
    case: QuantizeCase, made: Quantized, path: Path, samples: list[dict[str, np.ndarray]]
) -> list[str]:
    """The layers that are not int8, and those whose scale is not what the data leads to."""
    layers = {layer.layer: layer for layer in made.report.layers}
    model = onnx.load(path)
    inner = [name for name in case.layers.values() if name not in samples[0]]
    for name in inner:
        if all(value.name != name for value in model.graph.output):
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    onnx.save(model, path.with_suffix(".all.onnx"))
    reference = Reference(read_onnx(path.with_suffix(".all.onnx"), {}), tensors=inner)
    seen = [{**sample, **reference.run(sample)} for sample in samples]
    wrong = []
    for node, tensor in case.layers.items():
        layer = layers.get(node)
        if layer is None and tensor in samples[0]:  # what it gives is read no more
            continue
        if layer is None or layer.mode == "float":
            wrong.append(f"{node} is not int8: {layer.reason if layer else 'it is gone'}")
        elif layer.activation_scale is not None:
            largest = max(float(np.abs(each[tensor]).max()) for each in seen)
            taken = layer.activation_scale * _INT8_LARGEST
            # Of nothing but zeros any scale is right.
            if largest and not np.isclose(taken, largest, _STEP_TOLERANCE):
                wrong.append(f"{node} takes {taken}, not {largest}")
    return wrong


def quantize_all(runtime: str, names: Sequence[str]) -> dict[str, Outcome]:
    """The outcome of those cases, by name."""
    found: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory(prefix="deployx-edge-quantize-") as folder:
        file, wanted = Path(folder) / "outcomes.jsonl", Path(folder) / "names.json"
        while left := [name for name in names if name not in found]:
            wanted.write_text(json.dumps(left), encoding="utf-8")
            done = subprocess.run(
                [sys.executable, "-m", __name__, file, runtime, wanted],
                cwd=_ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
                capture_output=True,
            )
            begun = _collect(file, found)
            if begun is None and done.returncode != 0:
                raise AssertionError(f"the runner failed: {done.stderr.decode()[-500:]}")
            if begun is not None:
                found[begun] = Outcome(verdict="died", detail=f"exit code {done.returncode}")
    return found


def _collect(file: Path, found: dict[str, Outcome]) -> str | None:
    """Take in what was written; the case that was begun and not ended."""
    begun: str | None = None
    for line in file.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        begun = None if "verdict" in entry else entry["name"]
        if begun is None:
            found[entry["name"]] = Outcome(verdict=entry["verdict"], detail=entry["detail"])
    file.unlink()
    return begun


def _quantized_here(folder: Path, progress: object) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        ppq_child.main(folder)


class _NcnnHere(ncnn_runs.NcnnProcess):
    """ncnn without a process of its own."""

    def __init__(self, model: ncnn_runs.NcnnModel) -> None:
        self._files = model
        self._net = ncnn.Net()
        self.overflows = HalfOverflows()

    def __enter__(self) -> _NcnnHere:
        wheel_options.configure(self._net, self._files.precision, 1)
        failed = self._net.load_param(str(self._files.param))
        if failed or self._net.load_model(str(self._files.bin)):
            raise ModelError("ncnn refused the files")
        self.inputs = tuple(self._net.input_names())
        self.outputs = tuple(self._net.output_names())
        return self

    def close(self) -> None:
        self._net.clear()

    def run(
        self,
        arrays: Mapping[str, ncnn_runs.RuntimeArray],
        blobs: Sequence[str],
        *,
        measure: bool = False,
    ) -> Iterator[tuple[str, WholeValues]]:
        mats = []  # the extractor does not keep its inputs alive
        with self._net.create_extractor() as extractor:
            for blob, (array, batched) in arrays.items():
                values = np.ascontiguousarray(array, dtype=np.float32)
                mats.append(ncnn.Mat(values, batch_index=0 if batched else 233).clone())
                extractor.input(blob, mats[-1])
            for blob in blobs:
                yield blob, WholeValues(wheel_process.extracted(extractor, blob).copy())


_IN_PROCESS_OF_ITS_OWN = ncnn_runs.NcnnProcess


def _opened(model: ncnn_runs.NcnnModel) -> ncnn_runs.NcnnProcess:
    """What is not here: layers of our own, which the wheel lacks."""
    lines = model.param.read_text(encoding="utf-8").splitlines()
    if any(operator_of_layer(line.partition(" ")[0]) for line in lines):
        return _IN_PROCESS_OF_ITS_OWN(model)
    return _NcnnHere(model)


def main(file: Path, runtime: str, names: Path) -> None:
    ppq.run_child = _quantized_here
    ncnn_runs.NcnnProcess = runner.NcnnProcess = _opened
    wanted = json.loads(names.read_text(encoding="utf-8"))
    cases = {case.name: case for case in all_cases()}
    with file.open("a", encoding="utf-8") as log:
        for name in wanted:
            print(json.dumps({"name": name}), file=log, flush=True)
            with tempfile.TemporaryDirectory() as folder:
                try:
                    case = between_layers(cases[name])
                    outcome = Outcome(verdict="refused", detail="ONNX Runtime cannot run it")
                    if case is not None:
                        outcome = check(case, runtime, Path(folder))
                except Exception as error:  # any is a fault of the case that it comes from
                    outcome = Outcome(verdict="failed", detail=f"{type(error).__name__}: {error}")
            entry = {"name": name, "verdict": outcome.verdict, "detail": outcome.detail}
            print(json.dumps(entry), file=log, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
