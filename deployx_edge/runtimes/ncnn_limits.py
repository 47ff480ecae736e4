"""What no way to ncnn can get round: its arrays are dense, of fixed shape, and float32."""

from __future__ import annotations

from deployx_edge.errors import ModelError
from deployx_edge.sources.onnx_file import DEFAULT_DOMAINS, OnnxSource, SourceNode

# Operators whose results are no dense arrays of fixed shape.
_IMPOSSIBLE = frozenset(
    {
        "Compress",
        "ConcatFromSequence",
        "If",
        "ImageDecoder",
        "LabelEncoder",
        "Loop",
        "NonZero",
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
        "Unique",
    }
)
_CUT = "Move it out of the model, before or behind (docs/when-an-operator-is-missing.md)."
_CUSTOM = (
    "Write it as standard operators by a symbolic rewriter, or cut it off by --partition; a custom "
    "operator in ops/ would serve too, but there is none for ncnn yet."
)


def refuse_for_ncnn(source: OnnxSource) -> None:
    """ModelError where the model holds or demands what ncnn cannot have in any form."""
    for tensor in source.inputs:
        if tensor.ranges:
            raise ModelError(
                f"The input '{tensor.name}' has axes that stay open; the shapes of a model for "
                "ncnn are fixed when it is converted.",
                remedy="Give one size an axis, or convert for --runtime onnxruntime.",
            )
    for node in source.nodes:
        reason = impossible(node)
        if reason:
            raise ModelError(
                f"Operator '{node.operator}' (node '{node.name}') {reason}.",
                remedy=_CUT if node.domain in DEFAULT_DOMAINS else _CUSTOM,
            )
    for tensor in source.inputs:
        _refuse_type(source, "input", tensor.name, tensor.dtype)
    for name, dtype in source.output_dtypes.items():
        _refuse_type(source, "output", name, dtype)


def impossible(node: SourceNode) -> str:
    """Why ncnn can in no way run this node; empty where that is for the converter to say."""
    if node.domain not in DEFAULT_DOMAINS:
        return (
            f"of the domain '{node.domain}' is not a standard ONNX operator; ncnn does not have it"
        )
    if node.operator in _IMPOSSIBLE:
        return "has no counterpart in ncnn, which knows dense arrays of fixed shape only"
    return ""


def _refuse_type(source: OnnxSource, kind: str, name: str, dtype: str) -> None:
    if dtype == "float32":
        return
    remedy = (
        "Export the model with a float32 input."
        if kind == "input"
        else "Export the model without the operator that makes it (often Cast or ArgMax)."
    )
    raise ModelError(
        f"The {kind} '{name}' of {source.path.name} is {dtype}; ncnn takes and gives float32 only.",
        remedy=remedy,
    )
