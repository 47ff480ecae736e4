"""Images to a model's input: one way for every command."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import UsageError
from deployx_edge.processing.geometry import Geometry
from deployx_edge.processing.preprocessing import opencv_bilinear, torch_bilinear
from deployx_edge.processing.preprocessing.opening import open_image, plain
from deployx_edge.processing.preprocessing.placing import Placement, geometry_of, placement_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image as PilImage

    from deployx_edge.model import PreProcessing


@dataclass(frozen=True, kw_only=True)
class LoadedImage:
    """One sample made of an image, (1, C, H, W) or (1, H, W, C), and where the image lies.

    ``notes`` are those of ``OpenedImage``.
    """

    array: NDArray[Any]
    geometry: Geometry
    notes: tuple[str, ...] = ()


def load_image(path: Path, step: PreProcessing) -> NDArray[Any]:
    """The image as an array of one sample: (1, C, H, W) or (1, H, W, C) of the input's type.

    Raises UsageError where the file cannot be read as an image.
    """
    return load_with_geometry(path, step).array


def load_with_geometry(path: Path, step: PreProcessing) -> LoadedImage:
    """The image as an input, and how to find the way back; raises as ``load_image``."""
    opened = open_image(path, step.range)
    return replace(input_from_image(opened.image, step), notes=opened.notes)


def input_from_image(image: PilImage, step: PreProcessing) -> LoadedImage:
    """What the pre-processing makes of an image with values of 0 … 255 (``open_image``).

    Resizing is Pillow's, value by value; colours become gray as Pillow does it (ITU-R 601-2), and
    gray stands for each colour. Raises UsageError for an image without pixels.
    """
    import warnings

    import numpy as np

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of transparency, which has no place in an input
            coloured = plain(image, "L" if step.colour == "gray" else "RGB")
        placed = placement_of(step, coloured.width, coloured.height)
        geometry = geometry_of(step, coloured.width, coloured.height)
        pixels = _pixels(coloured, placed, step)
    except (OSError, ValueError, MemoryError) as error:
        raise UsageError(f"The image cannot be converted: {error}.") from error
    if step.colour == "bgr":
        pixels = pixels[:, :, ::-1]
    values = (_looked_up if pixels.dtype == np.uint8 else _computed)(pixels, step)
    if step.pad is not None:
        _pad(values, placed, step.pad)
    array = np.stack(values, axis=0 if step.layout == "NCHW" else -1)[None]
    return LoadedImage(array=array, geometry=geometry)


def _pad(values: list[NDArray[Any]], placed: Placement, pad: float) -> None:
    """Fill what is beside the image, in each channel (height, width)."""
    import numpy as np

    left, top = placed.corner
    beside = np.ones(placed.size[::-1], dtype=bool)
    beside[top : top + placed.sides[1], left : left + placed.sides[0]] = False
    for channel in values:
        channel[beside] = pad


def _looked_up(pixels: NDArray[Any], step: PreProcessing) -> list[NDArray[Any]]:
    """What the input holds, by channel, of pixels (H, W, C) of 256 values.

    To look values up costs a fifth of computing each pixel's.
    """
    import numpy as np

    tables = _computed(np.arange(256)[:, None, None], step)
    return [table[:, 0][pixels[:, :, channel]] for channel, table in enumerate(tables)]


def _computed(levels: NDArray[Any], step: PreProcessing) -> list[NDArray[Any]]:
    """What the input holds, by channel, of levels (H, W, C), or (H, W, 1) for all channels."""
    import numpy as np

    values = (levels * float(step.scale) - np.asarray(step.mean)) / np.asarray(step.std)
    dtype = np.dtype(step.dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return list(np.moveaxis(np.asarray(values, dtype=dtype), -1, 0))


def _pixels(image: PilImage, placed: Placement, step: PreProcessing) -> NDArray[Any]:
    """The resized image in its place: (H, W, C), or of one channel (H, W, 1)."""
    import numpy as np

    # Pillow has colours of 8 bits only; where nothing is rounded each is an image of its own.
    apart = step.mode == "torch-bilinear"
    parts = [band.convert("F") for band in image.split()] if apart else [image]
    return np.dstack([np.asarray(_resized(part, placed, step)) for part in parts])


def _resized(image: PilImage, placed: Placement, step: PreProcessing) -> PilImage:
    from PIL import Image

    scaled = _scaled(image, placed.sides, step.mode, placed.box)
    if placed.sides == placed.size:
        return scaled
    left, top = placed.corner
    if left < 0 or top < 0:
        return scaled.crop((-left, -top, placed.size[0] - left, placed.size[1] - top))
    canvas = Image.new(image.mode, placed.size, (step.fill,) * len(image.getbands()))
    canvas.paste(scaled, placed.corner)
    return canvas


def _scaled(
    image: PilImage,
    size: tuple[int, int],
    mode: str,
    box: tuple[float, float, float, float] | None = None,
) -> PilImage:
    """The image, or the part of it in ``box``, in that size."""
    import numpy as np
    from PIL import Image

    own = {"opencv-bilinear": opencv_bilinear.resize, "torch-bilinear": torch_bilinear.resize}
    if mode in own:
        whole = (0.0, 0.0, float(image.width), float(image.height))
        return Image.fromarray(own[mode](np.asarray(image), size, box or whole))
    method = {
        "nearest": Image.Resampling.NEAREST,
        "area": Image.Resampling.BOX,
        "bilinear": Image.Resampling.BILINEAR,
        "bicubic": Image.Resampling.BICUBIC,
    }[mode]
    return image.resize(size, method, box=box)
