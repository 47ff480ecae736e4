"""What no way to ncnn can get round: its arrays are dense, of fixed shape, and float32."""

from __future__ import annotations

import shlex

from deployx_edge.errors import ModelError
from deployx_edge.graph.links import OWN_DOMAINS
from deployx_edge.sources.onnx.file import OnnxSource
from deployx_edge.sources.onnx.foreign import refuse_foreign

# Operators whose results are no dense arrays of fixed shape.
_IMPOSSIBLE = frozenset(
    {
        "ConcatFromSequence",
        "If",
        "ImageDecoder",
        "LabelEncoder",
        "Loop",
        "Optional",
        "OptionalGetElement",
        "OptionalHasElement",
        "RegexFullMatch",
        "Scan",
        "SequenceAt",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceLength",
        "SequenceMap",
        "SplitToSequence",
        "StringConcat",
        "StringNormalizer",
        "StringSplit",
        "TfIdfVectorizer",
    }
)
# Those that are no arrays of one size: what else does the same at a fixed size, if anything does.
_SIZED_BY_VALUES = {
    "Compress": "a fixed number of the largest values by TopK",
    "NonMaxSuppression": "what fills them up: Concat with rows of -1, then Slice of as many from 0 "
    "on, with nothing before but Cast and a choice of columns",
    "NonZero": "truth values themselves, by which Where chooses",
    "Unique": "",
}


def refuse_for_ncnn(source: OnnxSource) -> None:
    """ModelError where the model holds or demands what ncnn cannot have in any form."""
    for tensor in source.inputs:
        if tensor.ranges:
            raise ModelError(
                f"The input '{tensor.name}' has axes that stay open; the shapes of a model for "
                "ncnn are fixed when it is converted.",
                remedy="Give one size an axis, or convert for --runtime onnxruntime.",
            )
    refuse_foreign(source)
    for tensor in source.inputs:
        _refuse_type(source, "input", tensor.name, tensor.dtype)
    for name, dtype in source.output_dtypes.items():
        _refuse_type(source, "output", name, dtype)


def impossible(operator: str, domain: str) -> str:
    """Why ncnn can in no way run such a node; empty where that is for the converter to say."""
    if domain not in OWN_DOMAINS:
        return f"ncnn has no operator of the domain '{domain}'"
    if operator in _IMPOSSIBLE:
        return "it has no counterpart in ncnn, which knows dense arrays of fixed shape only"
    if operator in _SIZED_BY_VALUES:
        other = _SIZED_BY_VALUES[operator]
        return (
            "how many results it gives depends on values, and ncnn's arrays have one size; leave "
            "it, and what brings its results to a fixed number, to ONNX Runtime (--partition with "
            "the names of its inputs)" + (f", or write {other}" if other else "")
        )
    return ""


def _refuse_type(source: OnnxSource, kind: str, name: str, dtype: str) -> None:
    if dtype == "float32":
        return
    remedy = (
        "Export the model with a float32 input, or fix it to a value: --input "
        f"{shlex.quote(name)}=VALUE."
        if kind == "input"
        else "Export the model without the operator that makes it (often Cast or ArgMax)."
    )
    raise ModelError(
        f"The {kind} '{name}' of {source.path.name} is {dtype}; ncnn takes and gives float32 only.",
        remedy=remedy,
    )
