"""How a model's operators go in ncnn, told by the converter that would write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from deployx_edge.errors import ModelError
from deployx_edge.runtimes.converter import ConversionRequest
from deployx_edge.runtimes.inspected import Inspected, RefusedOperator
from deployx_edge.runtimes.ncnn.native.converter import NativeConverter
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor


def inspect_for_ncnn(source: OnnxSource, outputs: Sequence[SourceTensor]) -> Inspected:
    """See ``Runtime.inspect``; open axes are taken at their optimum to look further."""
    converter = NativeConverter()
    fixed = replace(source, inputs=tuple(replace(each, ranges=()) for each in source.inputs))
    request = ConversionRequest(outputs=tuple(outputs), precision="fp32", folder=source.path.parent)
    examined = converter.examine(fixed, request)
    refusals = examined.emitted.refusals
    try:
        converter.check(source)
        whole = "; ".join(item.reason for item in refusals if not item.operator)
    except ModelError as error:
        whole = str(error)
    return Inspected(
        whole=whole,
        refused=tuple(
            RefusedOperator(operator=item.operator, node=item.node, reason=item.reason)
            for item in refusals
            if item.operator
        ),
        canonical=examined.canonical,
        passes=examined.canonical.applied,
        own=examined.emitted.operators,
    )
