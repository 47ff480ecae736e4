"""Images to a model's input: one way for every command."""

from deployx_edge.processing.preprocessing.arrays import read_content, write_content
from deployx_edge.processing.preprocessing.inputs import (
    LoadedImage,
    input_from_image,
    load_image,
    load_with_geometry,
)
from deployx_edge.processing.preprocessing.opening import (
    SUFFIXES,
    OpenedImage,
    image_of_pixels,
    open_class_indices,
    open_image,
    open_pixels,
)
from deployx_edge.processing.preprocessing.placing import geometry_of

__all__ = [
    "SUFFIXES",
    "LoadedImage",
    "OpenedImage",
    "geometry_of",
    "image_of_pixels",
    "input_from_image",
    "load_image",
    "load_with_geometry",
    "open_class_indices",
    "open_image",
    "open_pixels",
    "read_content",
    "write_content",
]
