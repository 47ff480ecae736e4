"""ncnn's files: the layers of a ``.param``, the weights of a ``.bin``, int8 scales."""

from deployx_edge.runtimes.ncnn.files.param import (
    Layer,
    float_list,
    format_float,
    format_param,
    integer_list,
    read_param,
)
from deployx_edge.runtimes.ncnn.files.table import TableEntry, format_table, read_table
from deployx_edge.runtimes.ncnn.files.weights import (
    STORED_PRECISIONS,
    encode_weights,
    stored_precision,
)

__all__ = [
    "STORED_PRECISIONS",
    "Layer",
    "TableEntry",
    "encode_weights",
    "float_list",
    "format_float",
    "format_param",
    "format_table",
    "integer_list",
    "read_param",
    "read_table",
    "stored_precision",
]
