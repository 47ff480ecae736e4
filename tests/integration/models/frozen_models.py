"""Networks whose Python code looks at values or sizes, named as ``…frozen_models:make``.

What a trace makes of them is right for the inputs that were traced, and may be wrong for others.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class Looking(nn.Module):
    """A convolution, and one of the ways below to look at what goes in or comes out."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.kind = kind
        self.register_buffer("seen", torch.zeros(1))
        self.runs = 0

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = KINDS[self.kind](self, x, self.conv(x))
        return found


def _sign(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    return y if x.sum() > 0 else -2 * y


def _scale(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    if x.abs().max() > 20.0:
        y = y / x.abs().max()
    return y


def _never(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    return y * 2 if x.sum() > 1e30 else y


def _loop(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    for _step in range(min(int(x.abs().mean()) + 1, 4)):
        y = y * 0.5 + 1
    return y


def _while(_: Looking, __: Tensor, y: Tensor) -> Tensor:
    while y.abs().max() > 1.0:
        y = y / 2
    return y


def _item(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    factor: float = x.max().item()
    return y * factor


def _number(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    return y * float(x.mean())


def _listed(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    return y * x[0, 0, 0].tolist()[0]


def _numpy(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    return y + torch.from_numpy(np.sort(x.detach().numpy().mean((2, 3)), 1)).sum()


def _rebuilt(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    return y * torch.tensor([x.min(), x.max(), 1.0]).sum()


def _counted(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    return y + 1 if (x > 0.5).nonzero().shape[0] > 40 else y


def _length(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    return y * len((x > 0.5).nonzero())


def _written(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    table = torch.zeros(2)
    table[1] = x.sum()
    return y if table.max() > 0 else y + 3


def _indexed(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    return y[:, int(x.mean((0, 2, 3)).argmax())]


def _sizes(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    height, width = int(x.shape[2]), int(x.shape[3])
    return y[:, :, : height // 2].mean((2, 3)) + y.sum((2, 3)) / (height * width)


def _large(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    if x.shape[2] > 12:
        y = functional.max_pool2d(y, 2)
    return y.mean((2, 3)) * x.shape[2]


def _odd(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    if x.shape[2] % 2:
        y = functional.pad(y, (0, 0, 0, 1))
    return functional.max_pool2d(y, 2).mean((2, 3))


def _upright(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    return y.mean(2).amax(2) if x.shape[2] > x.shape[3] else y.mean(3).amax(2)


def _strips(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    total = y.sum((2, 3))
    for row in range(0, int(x.shape[2]), 4):
        total = total + y[:, :, row].amax(2)
    return total


def _rows(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    rows = enumerate(y[0].transpose(0, 1))
    return torch.stack([row.mean(1) * (index + 1) for index, row in rows])


def _grid(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    steps = torch.tensor(np.linspace(0, 1, int(x.shape[3])), dtype=torch.float32)
    return (y * steps).sum((2, 3))


def _padded(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    missing = (-int(x.shape[2])) % 8
    return functional.avg_pool2d(functional.pad(y, (0, 0, 0, missing)), (8, 1)).amax((2, 3))


def _where(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    return torch.where(x.sum() > 0, y, -2 * y)


def _masked(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    y = y.clone()
    y[:, 0] = y[:, 0] * (x[:, 0] > 0)
    return y / x.abs().amax((1, 2, 3), keepdim=True).clamp(min=1.0)


def _asserted(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    assert x.min() > -1e6
    assert x.shape[1] == 3
    return y


def _constant(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    weights = torch.tensor([0.5, 2.0])
    blank = torch.zeros_like(x)
    if weights.sum() > 1 and blank.sum() == 0:
        y = y * weights[1].item()
    return y


def _open_sizes(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    small = functional.interpolate(y, size=(x.shape[2] // 2, x.shape[3] // 2))
    return functional.interpolate(small, scale_factor=2.0).mean((2, 3)) + y.flatten(2).amax(2)


def _fixed_sizes(_: Looking, x: Tensor, y: Tensor) -> Tensor:
    if int(x.shape[1]) == 3 and int(x.shape[0]) > 0 and x.shape[2] > 2:
        y = y * int(x.shape[1])
    return y.reshape(int(x.shape[0]), 4, -1).amax(2)


def _ties(_: Looking, __: Tensor, y: Tensor) -> Tensor:
    """The best places, which nobody can tell where all are the same (zeros)."""
    return y.flatten(1).topk(3).indices.float()


def _average(model: Looking, x: Tensor, y: Tensor) -> Tensor:
    model.seen.mul_(0.5).add_(x.mean())  # type: ignore[operator, union-attr]
    return y + model.seen  # type: ignore[operator]


def _calls(model: Looking, _: Tensor, y: Tensor) -> Tensor:
    model.runs += 1
    return y * model.runs


def _random(_: Looking, __: Tensor, y: Tensor) -> Tensor:
    return y + torch.rand_like(y)


def _unread(model: Looking, _: Tensor, y: Tensor) -> Tensor:
    model.seen.add_(1)  # type: ignore[operator, union-attr]
    return y


# By what decides: values, open sizes; what every export must get right; what no bundle keeps.
VALUES = {
    "sign": _sign,
    "scale": _scale,
    "never": _never,
    "loop": _loop,
    "while": _while,
    "item": _item,
    "number": _number,
    "listed": _listed,
    "numpy": _numpy,
    "rebuilt": _rebuilt,
    "counted": _counted,
    "length": _length,
    "written": _written,
    "indexed": _indexed,
}
SIZES = {
    "sizes": _sizes,
    "large": _large,
    "odd": _odd,
    "upright": _upright,
    "strips": _strips,
    "rows": _rows,
    "grid": _grid,
    "padded": _padded,
}
RIGHT = {
    "where": _where,
    "masked": _masked,
    "asserted": _asserted,
    "constant": _constant,
    "open_sizes": _open_sizes,
    "fixed_sizes": _fixed_sizes,
    "ties": _ties,
}
STATES = {"average": _average, "calls": _calls, "random": _random}
KINDS = {**VALUES, **SIZES, **RIGHT, **STATES, "unread": _unread}


def make(kind: str) -> nn.Module:
    return Looking(kind).eval()


def traced(kind: str) -> nn.Module:
    """A factory that traces by itself."""
    with warnings.catch_warnings(category=DeprecationWarning, action="ignore"):
        network: nn.Module = torch.jit.trace(make(kind), torch.rand(1, 3, 8, 8))
    return network


class Rated(nn.Module):
    """A branch on an input that the user may fix."""

    def forward(self, x: Tensor, rate: Tensor) -> Tensor:
        return x * 2 if rate > 10000 else torch.sigmoid(x)


def rated() -> nn.Module:
    return Rated().eval()


class Scripted(nn.Module):
    """For torch.jit.script, which keeps both ways."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if bool(x.sum() > 0):
            y = y * 2
        return y
