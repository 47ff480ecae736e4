"""Images to a model's input: one way for every command."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import UsageError
from deployx_edge.processing.geometry import Geometry
from deployx_edge.processing.preprocessing.opening import open_picture, plain

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

    from deployx_edge.model import PreProcessing


@dataclass(frozen=True, kw_only=True)
class LoadedPicture:
    """One sample made of an image, (1, C, H, W) or (1, H, W, C), and where the image lies.

    ``notes`` are those of ``OpenedPicture``.
    """

    array: NDArray[Any]
    geometry: Geometry
    notes: tuple[str, ...] = ()


def load_picture(path: Path, step: PreProcessing) -> NDArray[Any]:
    """The image as an array of one sample: (1, C, H, W) or (1, H, W, C) of the input's type.

    Raises UsageError where the file cannot be read as an image.
    """
    return load_with_geometry(path, step).array


def load_with_geometry(path: Path, step: PreProcessing) -> LoadedPicture:
    """The image as an input, and how to find the way back; raises as ``load_picture``."""
    opened = open_picture(path, step.range)
    return replace(input_from_picture(opened.picture, step), notes=opened.notes)


def input_from_picture(picture: Picture, step: PreProcessing) -> LoadedPicture:
    """What the pre-processing makes of an image with values of 0 … 255 (``open_picture``).

    Resizing is Pillow's, value by value; colours become gray as Pillow does it (ITU-R 601-2), and
    gray stands for each colour. Raises UsageError for an image without pixels.
    """
    import warnings

    import numpy as np

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of transparency, which has no place in an input
            coloured = plain(picture, "L" if step.colour == "gray" else "RGB")
        geometry = geometry_of(step, coloured.width, coloured.height)
        resized = _resized(coloured, step)
    except (OSError, ValueError, MemoryError) as error:
        raise UsageError(f"The image cannot be converted: {error}.") from error
    pixels = np.asarray(resized)
    if pixels.dtype == np.uint8:
        values = _looked_up(pixels.reshape(step.height, step.width, step.channels), step)
    else:
        values = _computed(pixels[:, :, None], step)
    array = np.stack(values, axis=0 if step.layout == "NCHW" else -1)[None]
    return LoadedPicture(array=array, geometry=geometry)


def _looked_up(pixels: NDArray[Any], step: PreProcessing) -> list[NDArray[Any]]:
    """What the input holds, by channel, of pixels (H, W, C) of 256 values.

    To look values up costs a fifth of computing each pixel's.
    """
    import numpy as np

    if step.colour == "bgr":
        pixels = pixels[:, :, ::-1]
    tables = _computed(np.arange(256)[:, None, None], step)
    return [table[:, 0][pixels[:, :, channel]] for channel, table in enumerate(tables)]


def _computed(levels: NDArray[Any], step: PreProcessing) -> list[NDArray[Any]]:
    """What the input holds, by channel, of levels (H, W, 1) that are the same in all of them."""
    import numpy as np

    values = (levels * float(step.scale) - np.asarray(step.mean)) / np.asarray(step.std)
    dtype = np.dtype(step.dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return list(np.moveaxis(np.asarray(values, dtype=dtype), -1, 0))


def geometry_of(step: PreProcessing, width: int, height: int) -> Geometry:
    """How an image of that size lies in the input that the pre-processing makes of it."""
    scale_x, scale_y = step.width / width, step.height / height
    left, top = 0.0, 0.0
    if step.fit == "letterbox":
        sides = _letterbox_size(step, width, height)
        scale_x, scale_y = sides[0] / width, sides[1] / height
        left, top = _letterbox_corner(step, sides)
    elif step.short is not None:
        sides = _short_size(step.short, width, height)
        scale_x, scale_y = sides[0] / width, sides[1] / height
        cut = _middle(step, sides)
        left, top = -float(cut[0]), -float(cut[1])
    elif step.fit == "crop":
        box = _proportioned(step, width, height)
        scale_x, scale_y = step.width / (box[2] - box[0]), step.height / (box[3] - box[1])
        left, top = -box[0] * scale_x, -box[1] * scale_y
    return Geometry(
        width=width,
        height=height,
        input_width=step.width,
        input_height=step.height,
        scale_x=scale_x,
        scale_y=scale_y,
        offset_x=left,
        offset_y=top,
    )


def _resized(picture: Picture, step: PreProcessing) -> Picture:
    from PIL import Image

    size = (step.width, step.height)
    if step.fit == "letterbox":
        sides = _letterbox_size(step, picture.width, picture.height)
        canvas = Image.new(picture.mode, size, (step.fill,) * len(picture.getbands()))
        canvas.paste(_scaled(picture, sides, step.mode), _letterbox_corner(step, sides))
        return canvas
    if step.short is not None:
        sides = _short_size(step.short, picture.width, picture.height)
        left, top = _middle(step, sides)
        return _scaled(picture, sides, step.mode).crop((left, top, left + size[0], top + size[1]))
    if step.fit == "crop":
        box = _proportioned(step, picture.width, picture.height)
        return _scaled(picture, size, step.mode, box)
    return _scaled(picture, size, step.mode)


def _scaled(
    picture: Picture,
    size: tuple[int, int],
    mode: str,
    box: tuple[float, float, float, float] | None = None,
) -> Picture:
    """The image, or the part of it in ``box``, in that size."""
    from PIL import Image

    if mode == "opencv-bilinear":
        left, top, right, bottom = box or (0.0, 0.0, float(picture.width), float(picture.height))
        across, down = (right - left) / size[0], (bottom - top) / size[1]
        # A transform looks at the two by two nearest pixels only, as cv2.INTER_LINEAR does.
        return picture.transform(
            size,
            Image.Transform.AFFINE,
            (across, 0.0, left, 0.0, down, top),
            Image.Resampling.BILINEAR,
        )
    method = {
        "nearest": Image.Resampling.NEAREST,
        "area": Image.Resampling.BOX,
        "bilinear": Image.Resampling.BILINEAR,
        "bicubic": Image.Resampling.BICUBIC,
    }[mode]
    return picture.resize(size, method, box=box)


def _letterbox_size(step: PreProcessing, width: int, height: int) -> tuple[int, int]:
    ratio = min(step.width / width, step.height / height)
    # At least a pixel: an image may be a thousand times wider than high.
    return max(1, round(width * ratio)), max(1, round(height * ratio))


def _letterbox_corner(step: PreProcessing, sides: tuple[int, int]) -> tuple[int, int]:
    if step.place == "corner":
        return 0, 0
    return (step.width - sides[0]) // 2, (step.height - sides[1]) // 2


def _short_size(short: int, width: int, height: int) -> tuple[int, int]:
    """Sides whose shorter one is ``short``; the longer rounded down, as in torchvision's Resize."""
    if width <= height:
        return short, int(short * height / width)
    return int(short * width / height), short


def _middle(step: PreProcessing, sides: tuple[int, int]) -> tuple[int, int]:
    """The upper left corner of the middle that is cut out, as in torchvision's CenterCrop."""
    return round((sides[0] - step.width) / 2.0), round((sides[1] - step.height) / 2.0)


def _proportioned(
    step: PreProcessing, width: int, height: int
) -> tuple[float, float, float, float]:
    """The largest middle of the wanted proportions, as in Pillow's ImageOps.fit."""
    wanted = step.width / step.height
    across, down = float(width), float(height)
    if width / height > wanted:
        across = wanted * height
    elif width / height < wanted:
        down = width / wanted
    left, top = (width - across) * 0.5, (height - down) * 0.5
    return left, top, left + across, top + down
