"""The converter that runs pnnx, a program that turns ONNX into ncnn's files.

pnnx's exit code says nothing. What it leaves is looked at layer by layer here, and
compared with the source by numbers in ``verification``.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from importlib import metadata, util
from pathlib import Path
from typing import Any

from deployx_edge.errors import MissingToolError, ModelError
from deployx_edge.model import TensorSpec
from deployx_edge.process import Completed, find_program, run
from deployx_edge.runtimes.converter import (
    ConversionRequest,
    ConvertedModel,
    HalfOverflows,
    tensor_spec,
)
from deployx_edge.runtimes.ncnn.files import Layer, read_param
from deployx_edge.runtimes.ncnn.limits import impossible, refuse_for_ncnn
from deployx_edge.runtimes.ncnn.wheel import unknown_layers
from deployx_edge.runtimes.ncnn.wheel import version as ncnn_version
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor, write_prepared

_LONGEST_CONVERSION = 3600.0  # seconds; large models take minutes
_NO_BATCH = 233  # pnnx's number for "no axis counts samples"
_INPUT = re.compile(r'ex\.input\("(\w+)", ncnn\.Mat\(\w+\.numpy\(\), batch_index=(\d+)\)')
_OUTPUT = re.compile(r"torch\.from_numpy\((\w+)\.numpy\(batch_index=(\d+)\)\)")
_TELLING = re.compile(r"fail|error|unexpected|unsupported|not supported|no such|invalid", re.I)
_COLOUR_CODE = re.compile(r"\x1b?\[[0-9;]*m")

# How pnnx calls what ONNX calls otherwise, for error messages.
_ONNX_WORDS = {
    "to": ("Cast",),
    "interpolate": ("Resize", "Upsample"),
    "upsample": ("Resize", "Upsample"),
    "max": ("ReduceMax", "Max"),
    "min": ("ReduceMin", "Min"),
    "slice": ("Slice",),
    "select": ("Gather",),
    "index": ("Gather", "GatherND"),
    "gather": ("GatherElements",),
    "scatter": ("ScatterElements",),
    "embedding": ("Gather",),
    "type_as": ("Cast",),
    "repeat": ("Tile",),
    "full": ("ConstantOfShape", "Expand"),
    "zeros": ("ConstantOfShape",),
    "ones": ("ConstantOfShape",),
    "arange": ("Range",),
    "cat": ("Concat",),
}

# Operators of which pnnx was seen to convert some forms wrongly without a word: several
# indices, uneven parts, SAME padding, an output shape, modes, slopes, more than one axis.
_DOUBTFUL = frozenset(
    {
        "AveragePool",
        "ConvTranspose",
        "Gather",
        "GridSample",
        "PRelu",
        "RMSNormalization",
        "ReduceL1",
        "ReduceL2",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceSum",
        "Resize",
        "Softmax",
        "Split",
        "Upsample",
        "Where",
    }
)


class PnnxConverter:
    """``Converter`` for ncnn by the program pnnx."""

    runtime = "ncnn"
    keeps_names = False
    halves_fp32 = True
    precisions = ("fp32", "fp16")

    def versions(self) -> tuple[tuple[str, str], ...]:
        """The versions of pnnx and of the ncnn that it is checked with."""
        try:
            pnnx = metadata.version("pnnx")
        except metadata.PackageNotFoundError:
            pnnx = "unknown"
        return (("ncnn", ncnn_version()), ("pnnx", pnnx))

    def check(self, source: OnnxSource) -> None:
        """Raise ModelError for what ncnn has in no form (see ``Converter``)."""
        refuse_for_ncnn(source)
        for node in source.nodes:
            reason = impossible(node.operator, node.domain)
            if reason:
                raise ModelError(
                    f"'{node.operator}' (node '{node.name}') cannot run in ncnn: {reason}.",
                    remedy="Leave out --converter pnnx: the native converter first folds what is "
                    "constant. Else cut it off (docs/when-an-operator-is-missing.md).",
                )

    def find_overflows(
        self, source: OnnxSource, inputs: Sequence[Mapping[str, Any]], precision: str
    ) -> HalfOverflows:
        """Nothing: no layer of pnnx's files is kept in fp32 (see ``Converter``)."""
        return HalfOverflows()

    def convert(self, source: OnnxSource, request: ConversionRequest) -> ConvertedModel:
        """Write ``model.ncnn.param`` and ``model.ncnn.bin`` (see ``Converter``)."""
        program, folder = find_pnnx(), request.folder
        prepared = folder / "model.onnx"
        write_prepared(source, prepared)
        shapes = ",".join(f"[{_comma(tensor.shape)}]f32" for tensor in source.inputs)
        completed = run(
            [
                program,
                prepared.name,
                f"inputshape={shapes}",
                f"fp16={int(request.precision == 'fp16')}",
            ],
            cwd=folder,
            timeout=_LONGEST_CONVERSION,
            check=False,
        )
        param, bin_file = folder / "model.ncnn.param", folder / "model.ncnn.bin"
        script = folder / "model_ncnn.py"
        if not all(path.is_file() for path in (param, bin_file, script)):
            raise _crash(source, completed)
        layers = read_param(param)
        _refuse_unknown(source, layers)
        batch_axes = {
            blob: None if int(axis) == _NO_BATCH else int(axis)
            for pattern in (_INPUT, _OUTPUT)
            for blob, axis in pattern.findall(script.read_text(encoding="utf-8"))
        }
        stem = source.path.stem  # for error messages: pnnx knows the model as "model"
        return ConvertedModel(
            runtime="ncnn",
            precision=request.precision,
            files=(
                ("param", param.rename(folder / f"{stem}.param")),
                ("bin", bin_file.rename(folder / f"{stem}.bin")),
            ),
            inputs=_specs(source, "in", source.inputs, batch_axes, layers),
            outputs=_specs(source, "out", request.outputs, batch_axes, layers),
        )

    def doubts(self, source: OnnxSource) -> tuple[str, ...]:
        """The doubtful operators of the source (see ``Converter``)."""
        return tuple(
            f"{node.operator} (node '{node.name}')"
            for node in source.nodes
            if node.operator in _DOUBTFUL
        )


def find_pnnx() -> Path:
    """The program of the Python package ``pnnx``, or the one on PATH.

    The package itself is not imported: it wants torch, which its program does not.
    """
    spec = util.find_spec("pnnx")
    if spec is not None and spec.origin is not None:
        for name in ("pnnx", "pnnx.exe"):
            beside = Path(spec.origin).parent / name
            if beside.is_file():
                return beside
    found = shutil.which("pnnx") if spec is None else find_program("pnnx")
    if found is None:
        raise MissingToolError(
            "The program pnnx, which converts ONNX to ncnn, was not found.",
            remedy="Install it with: pip install --no-deps pnnx==20261020",
        )
    return Path(found)


def _comma(shape: Sequence[int]) -> str:
    return ",".join(str(size) for size in shape)


def _crash(source: OnnxSource, completed: Completed) -> ModelError:
    text = (completed.stdout + b"\n" + completed.stderr).decode(errors="replace")
    lines = [_COLOUR_CODE.sub("", line).strip() for line in text.splitlines()]
    said = [line for line in lines if re.search(r"[A-Za-z]{3}", line)]
    telling = [line for line in said if _TELLING.search(line)] or said
    how = (
        f"died of signal {-completed.returncode}"
        if completed.returncode < 0
        else "left no ncnn files"
    )
    return ModelError(
        f"pnnx {how} on {source.path.name}; its last words: "
        + " | ".join(line[:200] for line in telling[-2:]),
        remedy="Simplify the model, or export it with another opset.",
    )


def _refuse_unknown(source: OnnxSource, layers: Sequence[Layer]) -> None:
    """ModelError where a layer is none of ncnn's, naming the ONNX node it came from."""
    unknown = unknown_layers(layers)
    if not unknown:
        return
    named = [words for layer in unknown if (words := _origin(source, layer.type))]
    first = named[0] if named else f"pnnx's '{unknown[0].type}' (layer '{unknown[0].name}')"
    others = sorted({layer.type for layer in unknown})
    raise ModelError(
        f"{source.path.name} holds {first}, for which ncnn has no layer "
        f"(left over: {', '.join(others)}).",
        remedy="Export the model without it.",
    )


def _origin(source: OnnxSource, layer_type: str) -> str | None:
    """The operator and node of the source that pnnx's layer type comes from."""
    word = layer_type.rpartition(".")[2].rpartition("::")[2].lower()
    wanted = {word.replace("_", "")} | {name.lower() for name in _ONNX_WORDS.get(word, ())}
    nodes = [node for node in source.nodes if node.operator.lower() in wanted]
    if not nodes:
        return None
    more = f", the first of {len(nodes)}" if len(nodes) > 1 else ""
    return f"the operator '{nodes[0].operator}' (node '{nodes[0].name}'{more})"


def _specs(
    source: OnnxSource,
    prefix: str,
    tensors: Sequence[SourceTensor],
    batch_axes: dict[str, int | None],
    layers: Sequence[Layer],
) -> tuple[TensorSpec, ...]:
    """The tensors with ncnn's blobs, which pnnx numbers in the source's order."""
    blobs = {blob for layer in layers for blob in layer.tops}
    specs = []
    for index, tensor in enumerate(tensors):
        blob = f"{prefix}{index}"
        if blob not in blobs or blob not in batch_axes:
            raise ModelError(
                f"pnnx lost '{tensor.name}' of {source.path.name}: its files have no '{blob}'."
            )
        axis = batch_axes[blob]
        within = axis is not None and axis < len(tensor.shape)
        specs.append(tensor_spec(source, tensor, blob, axis if within else None))
    return tuple(specs)
