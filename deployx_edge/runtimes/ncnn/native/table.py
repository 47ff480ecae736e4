"""The table of operators: which function writes which ONNX operator."""

from __future__ import annotations

from collections.abc import Callable

from deployx_edge.runtimes.ncnn.native.graph import Node
from deployx_edge.runtimes.ncnn.native.graph_builder import GraphBuilder

# Adds the layers of a node to the builder, or raises RefusedError before it adds any.
Writer = Callable[[GraphBuilder, Node], None]

TABLE: dict[str, Writer] = {}


def writes(*operators: str) -> Callable[[Writer], Writer]:
    """Enter a function into the table under these operators of ONNX's own domain."""

    def enter(writer: Writer) -> Writer:
        for operator in operators:
            TABLE[operator] = writer
        return writer

    return enter
