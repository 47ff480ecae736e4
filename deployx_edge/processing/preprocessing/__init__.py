"""Images to a model's input: one way for every command."""

from deployx_edge.processing.preprocessing.arrays import read_content, write_content
from deployx_edge.processing.preprocessing.inputs import (
    LoadedPicture,
    input_from_picture,
    load_picture,
    load_with_geometry,
)
from deployx_edge.processing.preprocessing.opening import (
    SUFFIXES,
    OpenedPicture,
    open_class_indices,
    open_picture,
    open_pixels,
    picture_of_pixels,
)
from deployx_edge.processing.preprocessing.placing import geometry_of

__all__ = [
    "SUFFIXES",
    "LoadedPicture",
    "OpenedPicture",
    "geometry_of",
    "input_from_picture",
    "load_picture",
    "load_with_geometry",
    "open_class_indices",
    "open_picture",
    "open_pixels",
    "picture_of_pixels",
    "read_content",
    "write_content",
]
