"""Find scales with PPQ, in a process of its own: it prints, it caches, it needs torch.

``python -m deployx_edge.quantization.ppq_child FOLDER`` reads ``job.json``, ``model.onnx`` and
``sample_<i>.npz`` there and writes ``layers.npz`` and ``result.json``. On standard output it says
how far it is (``ppq_telling``). It is started by ``quantization/ppq.py`` only.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

with contextlib.redirect_stdout(io.StringIO()):  # it greets
    from esp_ppq.api import load_graph
    from esp_ppq.core import NetworkFramework
    from esp_ppq.IR import GraphCommand, GraphCommandType, GraphFormatter, GraphReplacer

from deployx_edge.process import end_with_starter
from deployx_edge.quantization.ppq_layers import quantize_layers
from deployx_edge.quantization.ppq_operators import NodeError, Operators, same
from deployx_edge.quantization.ppq_passes import CountingExecutor, Job, Samples, in_float
from deployx_edge.quantization.ppq_qdq import quantize_with_nodes
from deployx_edge.quantization.ppq_telling import Teller
from deployx_edge.quantization.ppq_view import view_of
from deployx_edge.quantization.values import NodeForm

# Of the float model, node by node, against ONNX Runtime's whole.
_FLOAT_TOLERANCE = 1e-3
# What a graph needs before PPQ can work on it.
_NEEDED = (
    GraphCommandType.FORMAT_CONSTANT_INPUT,
    GraphCommandType.CONVERT_TO_TENSOR,
    GraphCommandType.FORMAT_PARAMETERS,
)
# What lets it compute more operators itself. Each may fail on forms that it does not know; what
# is left as it was then, or made wrong, ONNX Runtime computes (``ppq_operators``).
_HELPFUL = (
    GraphCommandType.FORMAT_CAST,
    GraphCommandType.FORMAT_SLICE,
    GraphCommandType.FORMAT_CLIP,
    GraphCommandType.FORMAT_PAD,
)


def _read(folder: Path) -> Any:
    """PPQ's graph of ``view.onnx``."""
    graph = load_graph(str(folder / "view.onnx"), NetworkFramework.ONNX)
    formatter = GraphReplacer(GraphFormatter(graph))
    for command in _NEEDED:
        formatter(GraphCommand(command))
    for command in _HELPFUL:
        with contextlib.suppress(Exception):
            formatter(GraphCommand(command))
    formatter(GraphCommand(GraphCommandType.DELETE_ISOLATED))
    return graph


def _differing(executor: Any, folder: Path, samples: Samples, names: list[str]) -> str | None:
    """The output that node by node comes out otherwise than of the whole; None where none does."""
    found = executor.forward(next(iter(samples)), output_names=names)
    with np.load(folder / "expected.npz") as file:
        for index, (name, tensor) in enumerate(zip(names, found, strict=True)):
            wanted = torch.from_numpy(file[f"output_{index}"])
            if not same(wanted, tensor, _FLOAT_TOLERANCE):
                return name
    return None


def _work(folder: Path, teller: Teller) -> dict[str, Any]:
    """Do the job in ``folder``; what is to be told of it."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    torch.manual_seed(job["settings"]["seed"])
    model = onnx.load(folder / "model.onnx")
    view = view_of(model)
    onnx.save(view, folder / "view.onnx")
    teller.phase("Reading the model", len(view.graph.node))
    graph = _read(folder)
    in_float(graph)
    operators = Operators(model, teller.advance)
    operators.install({operation.type for operation in graph.operations.values()})
    samples = Samples(folder, job["samples"], job["inputs"])
    executor = CountingExecutor(graph, teller)
    names = [value.name for value in view.graph.output]
    wrong = _differing(executor, folder, samples, names)
    if wrong is not None:
        return {"error": f"it computes '{wrong}' otherwise than ONNX Runtime"}
    made = Job(
        graph=graph,
        executor=executor,
        samples=samples,
        settings=job["settings"],
        foreign=operators.foreign,
    )
    if job["kind"] == "layers":
        result = quantize_layers(made, job["layers"], folder)
    else:
        form = NodeForm(**job["form"])
        result = quantize_with_nodes(made, job["keep_float"], form, model, folder)
    return {**result, "foreign": operators.foreign, "peak_bytes": _peak_bytes()}


def _peak_bytes() -> int:
    """The most memory that this process held; what getrusage says begins with its parent's."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _reason(error: BaseException, phase: str) -> str:
    """What went wrong, with the node where it is known, else with the phase."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    named = next((each for each in chain if isinstance(each, NodeError)), None)
    if named is not None:
        return str(named)
    said = " ".join(str(chain[-1]).split()) or type(chain[-1]).__name__
    return f"{said} ({type(chain[-1]).__name__} in its phase '{phase}')"


def main(folder: Path) -> int:
    """Do the job in ``folder``; 0 where every layer has its scales."""
    teller = Teller()
    gc.freeze()  # PPQ collects garbage all the time; what was imported is none
    try:
        result = _work(folder, teller)
    except Exception as error:  # any, of PPQ, torch and ONNX Runtime: each names what it can
        import traceback

        traceback.print_exc()  # for --debug
        result = {"error": _reason(error, teller.text)}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 1 if "error" in result else 0


if __name__ == "__main__":
    end_with_starter()
    sys.exit(main(Path(sys.argv[1])))
