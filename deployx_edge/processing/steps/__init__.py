"""What users write of pre- and post-processing, as values."""

from deployx_edge.processing.steps.meanings import (
    ACTIVATIONS,
    AREA_SHAPES,
    BACKGROUNDS,
    BLANKS,
    BOX_FORMATS,
    CORNERS,
    KINDS,
    MASK_LAYOUTS,
    MOST_POINTS,
    MOST_STRIDES,
    TEXT_LAYOUTS,
    class_count,
    parse_postprocessing,
    value_count,
)
from deployx_edge.processing.steps.pictures import (
    COLOURS,
    FITS,
    LARGEST_SIDE,
    LIMITS,
    MODES,
    PICTURE_DTYPES,
    PLACES,
    ROUNDINGS,
    parse_preprocessing,
)
from deployx_edge.processing.steps.words import step_texts
from deployx_edge.processing.steps.writing import step_text

__all__ = [
    "ACTIVATIONS",
    "AREA_SHAPES",
    "BACKGROUNDS",
    "BLANKS",
    "BOX_FORMATS",
    "COLOURS",
    "CORNERS",
    "FITS",
    "KINDS",
    "LARGEST_SIDE",
    "LIMITS",
    "MASK_LAYOUTS",
    "MODES",
    "MOST_POINTS",
    "MOST_STRIDES",
    "PICTURE_DTYPES",
    "PLACES",
    "ROUNDINGS",
    "TEXT_LAYOUTS",
    "class_count",
    "parse_postprocessing",
    "parse_preprocessing",
    "step_text",
    "step_texts",
    "value_count",
]
