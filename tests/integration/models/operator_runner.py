"""Runs operator cases in a process that may die, and says what came of each.

``python -m tests.integration.models.operator_runner FILE NAMES`` runs the cases whose names are
in the JSON file NAMES and writes two lines of JSON to FILE for each: its name before it is run, and
what came of it. ``run_all`` starts such processes, another one behind a case that killed
its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deployx_edge.comparison import TOLERANCES
from deployx_edge.errors import ModelError
from deployx_edge.graph.passes import NCNN_FUSIONS, NCNN_PASSES
from deployx_edge.model import MAX_RUNTIME_DIMS, same_but_for_ones
from deployx_edge.runtimes.ncnn.limits import refuse_for_ncnn
from deployx_edge.runtimes.ncnn.native.axes import natural_dims
from deployx_edge.runtimes.ncnn.native.emit import Emitted, emit
from deployx_edge.runtimes.ncnn.native.graph import read_graph
from deployx_edge.runtimes.ncnn.wheel import NcnnModel, NcnnProcess
from deployx_edge.sources.onnx.canonical import canonical
from deployx_edge.sources.onnx.file import OnnxSource, read_onnx
from tests.integration.models.operator_cases import all_cases
from tests.integration.models.operators.case import Case

_RUNS = 3
_BATCH_SECONDS = 300
_ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """``verdict`` is "right", "refused", or what went wrong; ``detail`` the reason."""

    verdict: str
    detail: str


def run_all(processes: int, names: Sequence[str] | None = None) -> dict[str, Outcome]:
    """The outcome of the cases of these names, of every one without, by name."""
    names = [case.name for case in all_cases()] if names is None else names
    cuts = [len(names) * index // processes for index in range(processes + 1)]
    with tempfile.TemporaryDirectory(prefix="deployx-edge-operators-") as folder:
        batches = [
            _Batch(Path(folder) / f"{index}.jsonl", names[cuts[index] : cuts[index + 1]])
            for index in range(processes)
        ]
        for batch in batches:
            batch.start()
        found: dict[str, Outcome] = {}
        for batch in batches:
            found.update(batch.finish())
    return found


class _Batch:
    """Some cases, run by one process after the other until all are through."""

    def __init__(self, file: Path, names: Sequence[str]) -> None:
        self._file = file
        self._names = list(names)

    def start(self) -> None:
        wanted = self._file.with_suffix(".names")
        wanted.write_text(json.dumps(self._names), encoding="utf-8")
        words = [self._file, wanted]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.models.operator_runner", *map(str, words)],
            cwd=_ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
        )

    def finish(self) -> dict[str, Outcome]:
        found: dict[str, Outcome] = {}
        while True:
            cause, message = self._wait()
            begun = self._collect(found)
            if begun is None and cause == 0:
                return found
            if begun is None:
                raise AssertionError(f"the runner failed outside of a case: {message}")
            found[begun] = Outcome(verdict="died", detail=f"exit code {cause}: {message}")
            self._names = self._names[self._names.index(begun) + 1 :]
            self.start()

    def _wait(self) -> tuple[int, str]:
        try:
            _, errors = self._process.communicate(timeout=_BATCH_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _, errors = self._process.communicate()
        return self._process.returncode, errors.decode(errors="replace")[-500:]

    def _collect(self, found: dict[str, Outcome]) -> str | None:
        """Take in what was written; the case that was begun and not ended."""
        begun: str | None = None
        for line in self._file.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if "verdict" in entry:
                found[entry["name"]] = Outcome(verdict=entry["verdict"], detail=entry["detail"])
                begun = None
            else:
                begun = entry["name"]
        return begun


def check(case: Case, folder: Path) -> Outcome:
    """Convert the case, and run ncnn with and without packed channels beside ONNX Runtime."""
    import onnx

    path = folder / "case.onnx"
    onnx.save(case.model, path)
    try:
        source = read_onnx(path, {})
        refuse_for_ncnn(source)
        model = canonical(source, NCNN_PASSES, NCNN_FUSIONS)
        emitted = emit(read_graph(model.model, model.shapes), "fp32")
    except ModelError as error:
        return Outcome(verdict="refused", detail=str(error))
    if emitted.refusals:
        reasons = "; ".join(f"{item.operator}: {item.reason}" for item in emitted.refusals)
        return Outcome(verdict="refused", detail=reasons)
    (folder / "case.param").write_text(emitted.param, encoding="utf-8")
    (folder / "case.bin").write_bytes(emitted.weights)
    inputs = [inputs_of(case, source, run) for run in range(_RUNS)]
    wanted = _reference(path, source, inputs)
    worst = 0.0
    for packing in (True, False):
        found = _converted(folder, source, emitted, inputs, packing)
        if isinstance(found, Outcome):
            return found
        for name in source.output_names:
            difference = _difference([run[name] for run in wanted], [run[name] for run in found])
            if isinstance(difference, str):
                return Outcome(verdict="wrong", detail=f"{name}: {difference}")
            worst = max(worst, difference)
    verdict = "right" if worst < TOLERANCES["fp32"].relative else "wrong"
    return Outcome(verdict=verdict, detail=f"off by {worst:.1e} of the range")


def inputs_of(case: Case, source: OnnxSource, run: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng([run, *case.name.encode()])
    made = {}
    for tensor in source.inputs:
        if case.interval is None:
            values = random.standard_normal(tensor.shape)
        else:
            values = random.uniform(*case.interval, tensor.shape)
        made[tensor.name] = np.asarray(values, dtype=np.float32)
    return made


def _reference(
    path: Path, source: OnnxSource, inputs: Sequence[Mapping[str, np.ndarray]]
) -> list[dict[str, np.ndarray]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = list(source.output_names)
    return [dict(zip(names, session.run(names, dict(run)), strict=True)) for run in inputs]


def _converted(
    folder: Path,
    source: OnnxSource,
    emitted: Emitted,
    inputs: Sequence[Mapping[str, np.ndarray]],
    packing: bool,
) -> list[dict[str, np.ndarray]] | Outcome:
    if emitted.operators:
        return _by_worker(folder, source, emitted, inputs)
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_packing_layout = packing
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    if net.load_param(str(folder / "case.param")) or net.load_model(str(folder / "case.bin")):
        return Outcome(verdict="not loaded", detail=emitted.param)
    runs = []
    for arrays in inputs:
        extractor = net.create_extractor()
        mats = {}  # the extractor does not keep its inputs alive
        for name, array in arrays.items():
            dense = array.reshape(natural_dims(array.shape))
            mats[name] = ncnn.Mat(np.ascontiguousarray(dense)).clone()
            extractor.input(emitted.blobs[name], mats[name])
        found = {}
        for name in source.output_names:
            code, mat = extractor.extract(emitted.blobs[name])
            if code:
                return Outcome(verdict="not run", detail=f"'{name}' gives the code {code}")
            found[name] = np.array(mat.numpy())
        runs.append(found)
    return runs


def _by_worker(
    folder: Path,
    source: OnnxSource,
    emitted: Emitted,
    inputs: Sequence[Mapping[str, np.ndarray]],
) -> list[dict[str, np.ndarray]] | Outcome:
    """With layers of our own, which the wheel lacks; packing is as the worker has it."""
    files = NcnnModel(
        param=folder / "case.param", bin=folder / "case.bin", precision="fp32", is_large=False
    )
    runs = []
    blobs = [emitted.blobs[name] for name in source.output_names]
    try:
        with NcnnProcess(files) as process:
            for arrays in inputs:
                given = {
                    emitted.blobs[name]: (array.reshape(natural_dims(array.shape)), False)
                    for name, array in arrays.items()
                }
                found = {blob: values.whole() for blob, values in process.run(given, blobs)}
                runs.append({name: found[emitted.blobs[name]] for name in source.output_names})
    except ModelError as error:
        return Outcome(verdict="not run", detail=str(error))
    return runs


def _difference(wanted: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> float | str:
    """The largest error as a part of the output's magnitude, or what is wrong with the shape."""
    worst = 0.0
    for first, second in zip(wanted, found, strict=True):
        few = len([size for size in first.shape if size != 1]) <= MAX_RUNTIME_DIMS
        if first.size != second.size or (few and not same_but_for_ones(first.shape, second.shape)):
            return f"it has the shape {second.shape} instead of {first.shape}"
        values = second.reshape(first.shape)
        finite = np.isfinite(first)
        if not (np.isfinite(values) == finite).all():
            return "NaN or infinite"
        error = np.abs(values - first)[finite].max(initial=0.0)
        worst = max(worst, float(error / max(np.abs(first[finite]).max(initial=0.0), 1e-6)))
    return worst


def main(file: Path, names: Path) -> None:
    wanted = set(json.loads(names.read_text(encoding="utf-8")))
    with file.open("a", encoding="utf-8") as log, tempfile.TemporaryDirectory() as folder:
        for case in (case for case in all_cases() if case.name in wanted):
            print(json.dumps({"name": case.name}), file=log, flush=True)
            try:
                outcome = check(case, Path(folder))
            except Exception as error:  # any is a fault of the native converter, of this case only
                outcome = Outcome(verdict="failed", detail=f"{type(error).__name__}: {error}")
            entry = {"name": case.name, "verdict": outcome.verdict, "detail": outcome.detail}
            print(json.dumps(entry), file=log, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
