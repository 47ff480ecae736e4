"""Run an ncnn model in a process of its own, where it may die alone.

``python -m deployx_edge.runtimes.ncnn_child FOLDER`` reads ``job.json`` and
``run_<i>.npz`` there and writes ``out_<i>.npz`` and ``result.json``. It says on standard
output which phase it is in. It is started by ``runtimes/ncnn.py`` only.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import ncnn
import numpy as np


def _refuse(folder: Path, reason: str) -> int:
    (folder / "result.json").write_text(json.dumps({"error": reason}), encoding="utf-8")
    return 1


def _configure(net: Any, precision: str, threads: int) -> None:
    half = precision == "fp16"
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = half
    net.opt.use_fp16_storage = half
    net.opt.use_fp16_arithmetic = half
    net.opt.use_bf16_packed = precision == "bf16"
    net.opt.use_bf16_storage = precision == "bf16"


def _run(net: Any, job: dict[str, Any], arrays: list[Any]) -> list[Any] | str:
    """The outputs of one run in the order asked for, or the reason why there are none."""
    mats = []  # the extractor does not keep its inputs alive
    with net.create_extractor() as extractor:
        for blob, array in zip(job["inputs"], arrays, strict=True):
            batched = blob in job["batched"]
            mats.append(ncnn.Mat(array, batch_index=0 if batched else 233).clone())
            if extractor.input(blob, mats[-1]) != 0:
                return f"ncnn refused the input blob '{blob}'"
        outputs = []
        for blob in job["outputs"]:
            code, mat = extractor.extract(blob)
            if code != 0:
                return f"ncnn could not compute the output blob '{blob}' (code {code})"
            if mat.dims == 0:
                return f"ncnn gave nothing for the output blob '{blob}'"
            result = mat.numpy(batch_index=0) if mat.n > 1 else mat.numpy()
            outputs.append(np.array(result, dtype=np.float32))
    return outputs


def main(folder: Path) -> int:
    """Do the job in ``folder``; 0 where every run gave its outputs."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    print("phase: load", flush=True)
    net = ncnn.Net()
    _configure(net, job["precision"], job["threads"])
    net.opt.lightmode = not job["keep_all"]
    if net.load_param(job["param"]) != 0:
        return _refuse(folder, "ncnn refused the .param file")
    if net.load_model(job["bin"]) != 0:
        return _refuse(folder, "ncnn refused the .bin file")
    result: dict[str, Any] = {"inputs": net.input_names(), "outputs": net.output_names()}
    if job["outputs"] is None:
        job["outputs"] = result["outputs"]
    for index in range(job["runs"]):
        print(f"phase: run {index + 1}", flush=True)
        with np.load(folder / f"run_{index}.npz") as file:
            arrays = [file[f"input_{i}"] for i in range(len(job["inputs"]))]
        outputs = _run(net, job, arrays)
        if isinstance(outputs, str):
            return _refuse(folder, outputs)
        named = {f"output_{i}": array for i, array in enumerate(outputs)}
        np.savez(folder / f"out_{index}.npz", **named)
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
