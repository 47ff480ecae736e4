"""What half floats cannot hold inside an ncnn model, tensor by tensor and sum by sum.

A tensor may stay far below fp16's 65504 where what its layer adds up on the way does not: +200
times 300, then -200 times 300, is infinity and not 0. Which layers add in half floats was read in
ncnn's sources for ARM and RISC-V: convolutions (also by Winograd's way), products of matrices,
scores of attention, average pools with a window, recurrent layers, softmax, instance norms; all
other sums are made in fp32 (layer and group norms, global pools, reductions).

The model runs once for every set of inputs, layer by layer in a process of its own. For each
layer a bound is found that holds for every order in which the terms can be added: first from the
largest value that goes in and the sum of absolute weights; where that is beyond half floats, from
the layer itself with absolute weights on absolute inputs.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import ModelError
from deployx_edge.ncnn_format import encode_weights, format_param
from deployx_edge.process import run
from deployx_edge.runtimes.converter import HalfOverflows
from deployx_edge.runtimes.ncnn import is_large

if TYPE_CHECKING:
    from deployx_edge.model import Array
    from deployx_edge.runtimes.emitter.draft import DraftLayer

_LONGEST_JOB = 1800.0  # seconds; a run of seconds is slow, this is a hang


def half_overflows(
    layers: Sequence[DraftLayer], runs: Sequence[Mapping[str, Array]]
) -> HalfOverflows:
    """What these layers of an fp32 network would overflow in half floats.

    Every blob is read by one layer at most. Each of ``runs`` maps all input blobs to arrays in
    ncnn's dimensions. Raises ModelError where ncnn cannot run the network.
    """
    import numpy as np

    with tempfile.TemporaryDirectory(prefix="deployx-edge-halves-") as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(_job(layers, runs, folder)), encoding="utf-8")
        for index, arrays in enumerate(runs):
            ordered = {f"input_{i}": array for i, array in enumerate(arrays.values())}
            # Numbered, as a blob may have any name. The stub takes ** for allow_pickle.
            np.savez(folder / f"run_{index}.npz", **ordered)  # type: ignore[arg-type]
        package_parent = str(Path(__file__).resolve().parents[2])
        paths = [package_parent, os.environ.get("PYTHONPATH", "")]
        completed = run(
            [sys.executable, "-m", "deployx_edge.runtimes.half_sums_child", folder],
            env={
                "PYTHONPATH": os.pathsep.join(path for path in paths if path),
                "OMP_WAIT_POLICY": "PASSIVE",  # as for every run of ncnn
            },
            timeout=_LONGEST_JOB,
            check=False,
        )
        if completed.returncode < 0:
            # ncnn dies of the network: it will again, where that is told with its phase.
            return HalfOverflows()
        result = folder / "result.json"
        if completed.returncode != 0 or not result.is_file():
            tail = " ".join(completed.stderr.decode(errors="replace").split())[-300:]
            raise ModelError(f"The largest sums inside the model cannot be measured: {tail}")
        found = json.loads(result.read_text(encoding="utf-8"))
    return HalfOverflows(tensors=found["blobs"], sums=found["sums"])


def _job(
    layers: Sequence[DraftLayer], runs: Sequence[Mapping[str, Array]], folder: Path
) -> dict[str, Any]:
    """Write the network's files; what the child is told."""
    param, weights = folder / "model.param", folder / "model.bin"
    param.write_text(format_param([entry.layer for entry in layers]), encoding="utf-8")
    described = []
    position = 0
    with weights.open("wb") as stream:
        for entry in layers:
            begin, places = position, []
            for weight in entry.weights:
                position += stream.write(
                    encode_weights(weight.values, "fp32", tagged=weight.tagged)
                )
                places.append((position - 4 * weight.values.size, position))
            described.append(
                {
                    "name": entry.layer.name,
                    "type": entry.layer.type,
                    "bottoms": entry.layer.bottoms,
                    "tops": entry.layer.tops,
                    "params": entry.layer.params,
                    "begin": begin,
                    "end": position,
                    "weights": places,
                }
            )
    return {
        "param": str(param),
        "bin": str(weights),
        "bytes": position,
        "threads": min(4, os.cpu_count() or 1),
        "is_large": any(is_large(sum(a.size for a in arrays.values())) for arrays in runs[:1]),
        "inputs": list(runs[0]) if runs else [],
        "runs": len(runs),
        "layers": described,
    }
