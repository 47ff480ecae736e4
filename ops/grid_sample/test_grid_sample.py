"""GridSample in every mode and padding, far beyond the image, at ties and at one pixel."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed

_MODES = ("linear", "nearest", "cubic")
_EARLIER = {"linear": "bilinear", "nearest": "nearest", "cubic": "bicubic"}
_PADDINGS = ("zeros", "border", "reflection")


def _places(*shape: int, reach: float) -> Fed:
    random = np.random.default_rng(shape)
    return Fed(values=random.uniform(-reach, reach, shape).astype(np.float32))


def _case(name: str, image: tuple[int, ...], places: Fed, **attributes: object) -> Case:
    return Case(name=name, inputs=(image, places), attributes=attributes, opset=20)


def _images() -> list[Case]:
    return [
        Case(
            name=f"{mode}-{padding}-{align}",
            inputs=((2, 3, 6, 7), _places(2, 5, 4, 2, reach=4.5)),
            attributes={"mode": _EARLIER[mode], "padding_mode": padding, "align_corners": align},
            opset=16,
        )
        for mode in _MODES
        for padding in _PADDINGS
        for align in (0, 1)
    ]


def _volumes() -> list[Case]:
    return [
        _case(
            f"volume-{mode}-{padding}",
            (1, 2, 4, 5, 6),
            _places(1, 3, 2, 5, 3, reach=2.5),
            mode=mode,
            padding_mode=padding,
        )
        for mode in ("linear", "nearest")
        for padding in _PADDINGS
    ]


# Exactly between two pixels of eight: the even one is nearest.
_TIES = np.stack(np.meshgrid(np.arange(-4, 5) / 4, np.arange(-4, 5) / 4), -1)[None]

CASES = (
    *_images(),
    *_volumes(),
    _case("ties", (1, 3, 8, 8), Fed(values=_TIES.astype(np.float32)), mode="nearest"),
    _case("one-pixel", (1, 3, 1, 1), _places(1, 3, 3, 2, reach=2), padding_mode="border"),
    _case("channels", (1, 17, 6, 7), _places(1, 5, 3, 2, reach=1.5), mode="nearest"),
    _case("renamed", (1, 2, 6, 7), _places(1, 5, 3, 2, reach=1.5), mode="cubic"),
)
