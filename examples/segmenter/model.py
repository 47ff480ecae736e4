"""The segmenter: a small U-Net that says for each pixel which shape it belongs to.

After Ronneberger et al. 2015: convolutions on the way down keep what they saw, and the way
up, by transposed convolutions, takes it back. The factory at the end is what
``deployx-edge`` takes: ``examples.segmenter.model:segmenter``.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

SIDE = 96  # pixels; any multiple of 8 would do
CLASSES = 4  # the ground, circles, squares, triangles


class TwoConvs(nn.Sequential):
    """Two 3x3 convolutions with batch norm and ReLU; (N, incoming, H, W) to (N, outgoing, H, W)."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        super().__init__(
            nn.Conv2d(incoming, outgoing, 3, padding=1, bias=False),
            nn.BatchNorm2d(outgoing),
            nn.ReLU(),
            nn.Conv2d(outgoing, outgoing, 3, padding=1, bias=False),
            nn.BatchNorm2d(outgoing),
            nn.ReLU(),
        )


class Segmenter(nn.Module):
    """Image (N, 3, 96, 96), RGB in 0 … 1, to scores (N, 4, 96, 96), not yet probabilities.

    ``width`` is the number of channels at full size; it doubles at each halving.
    """

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        sizes = [width, width * 2, width * 4, width * 8]
        self.down = nn.ModuleList([TwoConvs(*pair) for pair in pairwise([3, *sizes])])
        self.halve = nn.MaxPool2d(2)
        self.enlarge = nn.ModuleList(
            [nn.ConvTranspose2d(size * 2, size, 2, stride=2) for size in reversed(sizes[:-1])]
        )
        self.up = nn.ModuleList([TwoConvs(size * 2, size) for size in reversed(sizes[:-1])])
        self.classify = nn.Conv2d(width, CLASSES, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Scores (N, 4, 96, 96) of images (N, 3, 96, 96)."""
        features = self.down[0](image)
        seen = []
        for block in list(self.down)[1:]:
            seen.append(features)
            features = block(self.halve(features))
        for enlarge, block in zip(self.enlarge, self.up, strict=True):
            features = block(torch.cat([seen.pop(), enlarge(features)], dim=1))
        scores: Tensor = self.classify(features)
        return scores


def segmenter(*, width: int = 8) -> nn.Module:
    """The network; ``scores`` of the ground, circles, squares and triangles for each pixel."""
    return Segmenter(width)
