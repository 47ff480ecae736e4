"""ncnn's files: the layers of a ``.param`` and the weights of a ``.bin``."""

from deployx_edge.ncnn_format.param import (
    Layer,
    float_list,
    format_float,
    format_param,
    integer_list,
    read_param,
)
from deployx_edge.ncnn_format.weights import STORED_PRECISIONS, encode_weights, stored_precision

__all__ = [
    "STORED_PRECISIONS",
    "Layer",
    "encode_weights",
    "float_list",
    "format_float",
    "format_param",
    "integer_list",
    "read_param",
    "stored_precision",
]
