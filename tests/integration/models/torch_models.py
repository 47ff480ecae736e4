"""Small networks in PyTorch that the tests name as ``tests.integration.models.torch_models:…``."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Small(nn.Module):
    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU())
        self.norm = nn.BatchNorm2d(channels)
        self.last = nn.Linear(channels, 4)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(self.norm(self.first(image)).mean((2, 3)))


class TwoInputs(nn.Module):
    """Its arguments have names; what it gives is a nest."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Conv2d(3, 3, 1)

    def forward(self, image: Tensor, weight: Tensor) -> dict[str, Tensor | list[Tensor | None]]:
        scaled = self.scale(image)
        return {"sum": scaled + weight, "both": [scaled * weight, None]}


class Boxes(NamedTuple):
    boxes: Tensor
    scores: Tensor


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 5, 1)

    def forward(self, image: Tensor) -> Boxes:
        raw = self.head(image)
        return Boxes(boxes=raw[:, :4], scores=torch.sigmoid(raw[:, 4:]))


class Branching(nn.Module):
    """A branch on a constant: torch.export refuses it, a trace takes the only side there is."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 4, 3)

    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = self.inner(image)
        return found * 2 if torch.zeros_like(image).sum() > 1e9 else found


class Wide(nn.Module):
    """Values of 10^6 inside, small ones at both ends."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(image)) * 3e5) * 1e-5


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 16)
        self.last = nn.Linear(16, 8)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.last(self.table(ids)) * mask.unsqueeze(-1)


def _seeded(kind: type[nn.Module], **arguments: int) -> nn.Module:
    torch.manual_seed(0)
    return kind(**arguments).eval()


def small(channels: int = 8) -> nn.Module:
    return _seeded(Small, channels=channels)


def two_inputs() -> nn.Module:
    return _seeded(TwoInputs)


def named() -> nn.Module:
    return _seeded(Named)


def branching() -> nn.Module:
    return _seeded(Branching)


def wide() -> nn.Module:
    return _seeded(Wide)


def embedded() -> nn.Module:
    return _seeded(Embedded)


def diverged() -> nn.Module:
    network = _seeded(Small)
    with torch.no_grad():
        next(network.parameters())[0] = float("nan")
    return network


def convolutional() -> nn.Module:
    """Takes images of any size."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).eval()


def no_module() -> str:
    return "a string"


def broken() -> nn.Module:
    raise RuntimeError("no weights today")
