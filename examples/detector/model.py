"""The detector: a small one-stage network that finds circles, squares and triangles.

It has what detectors in the field have: a residual backbone, a neck that brings two scales
together, a head without anchors that gives each cell one box (Tian et al. 2019, "FCOS"), and
a post-processing that few runtimes can run. The factories at the end are what
``deployx-edge`` takes: ``examples.detector.model:detector``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from deployx_edge.rewriting import mark

SIDE = 128  # pixels; the input is square
STRIDES = (8, 16)  # pixels between cells of the two scales
CLASSES = 3
CANDIDATES = 50  # boxes that the post-processing looks at


class Predictions(NamedTuple):
    """What the network says of each of 320 cells; the names are those of the ONNX outputs.

    ``boxes`` (N, 320, 4): x0, y0, x1, y1 in pixels; ``scores`` (N, 320, 3): probabilities.
    """

    boxes: Tensor
    scores: Tensor


class Detections(NamedTuple):
    """``detections`` (N, 50, 6), as ``postprocess`` gives them."""

    detections: Tensor


class ConvNormAct(nn.Sequential):
    """Convolution, batch norm, SiLU; (N, incoming, H, W) to (N, outgoing, H/stride, W/stride)."""

    def __init__(self, incoming: int, outgoing: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(incoming, outgoing, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outgoing),
            nn.SiLU(),
        )


class Residual(nn.Module):
    """A bottleneck with a way around it; the shape (N, channels, H, W) stays."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            ConvNormAct(channels, channels // 2, kernel=1),
            ConvNormAct(channels // 2, channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, channels, H, W) and what the bottleneck adds to them."""
        inner: Tensor = self.inner(features)
        return features + inner


class Head(nn.Module):
    """Features (N, channels, H, W) to 4 + CLASSES numbers for each cell, (N, H * W, 7)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.mix = ConvNormAct(channels, channels, kernel=1)
        self.sides = nn.Conv2d(channels, 4, 1)
        self.classes = nn.Conv2d(channels, CLASSES, 1)
        nn.init.constant_(self.classes.bias, -4.0)  # type: ignore[arg-type]  # few cells hold a shape

    def forward(self, features: Tensor) -> Tensor:
        """What the head says of each cell, before any sigmoid."""
        mixed = self.mix(self.depthwise(features))
        both = torch.cat([self.sides(mixed), self.classes(mixed)], dim=1)
        return both.flatten(2).transpose(1, 2)


class Detector(nn.Module):
    """Image (N, 3, 128, 128), RGB in 0 … 1, to boxes (N, 320, 4) and scores (N, 320, 3).

    Boxes are x0, y0, x1, y1 in pixels; scores are probabilities, each class for itself. The
    first 256 of the 320 cells lie 8 pixels apart, the others 16, row by row. ``width`` is
    the number of channels after the first convolution.
    """

    centres: Tensor
    strides: Tensor

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        fine, coarse = width * 4, width * 6
        self.to_fine = nn.Sequential(
            ConvNormAct(3, width, stride=2),
            ConvNormAct(width, width * 2, stride=2),
            Residual(width * 2),
            ConvNormAct(width * 2, fine, stride=2),
            Residual(fine),
        )
        self.to_coarse = nn.Sequential(
            ConvNormAct(fine, coarse, stride=2), Residual(coarse), Residual(coarse)
        )
        self.lateral = ConvNormAct(coarse, fine, kernel=1)
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.merge = nn.Sequential(ConvNormAct(fine * 2, fine, kernel=1), Residual(fine))
        self.heads = nn.ModuleList([Head(fine), Head(fine)])
        centres, strides = cells()
        self.register_buffer("centres", centres, persistent=False)
        self.register_buffer("strides", strides, persistent=False)

    def raw(self, image: Tensor) -> Tensor:
        """Four sides and CLASSES logits for each cell, (N, 320, 7), not yet decoded."""
        fine = self.to_fine(image)
        coarse = self.lateral(self.to_coarse(fine))
        merged = self.merge(torch.cat([self.upsample(coarse), fine], dim=1))
        return torch.cat([self.heads[0](merged), self.heads[1](coarse)], dim=1)

    def decode(self, raw: Tensor) -> Tensor:
        """Boxes (N, 320, 4) in pixels of what ``raw`` gave.

        A side lies (2 * sigmoid)^2 doubled strides from its cell's centre: 16 pixels for a
        raw 0 at stride 8, and at most 64, as in YOLOv5's decoding.
        """
        part = 2 * torch.sigmoid(raw[..., :4])
        away = part * part * (2 * self.strides)
        return torch.cat([self.centres - away[..., :2], self.centres + away[..., 2:]], dim=-1)

    def forward(self, image: Tensor) -> Predictions:
        """Boxes (N, 320, 4) in pixels and scores (N, 320, 3) of images (N, 3, 128, 128)."""
        raw = self.raw(image)
        return Predictions(boxes=self.decode(raw), scores=torch.sigmoid(raw[..., 4:]))


def cells() -> tuple[Tensor, Tensor]:
    """The centre (320, 2) of each cell as x, y in pixels, and its stride (320, 1)."""
    centres, strides = [], []
    for stride in STRIDES:
        along = (torch.arange(SIDE // stride) + 0.5) * stride
        y, x = torch.meshgrid(along, along, indexing="ij")
        centres.append(torch.stack([x, y], dim=-1).reshape(-1, 2))
        strides.append(torch.full((len(centres[-1]), 1), float(stride)))
    return torch.cat(centres), torch.cat(strides)


def overlaps(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union (…, A, B) of boxes (…, A, 4) with boxes (…, B, 4)."""
    one, other = one.unsqueeze(-2), other.unsqueeze(-3)
    inner = torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(
        one[..., :2], other[..., :2]
    )
    shared = inner.clamp(min=0).prod(dim=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(dim=-1) for boxes in (one, other)]
    return shared / (areas[0] + areas[1] - shared).clamp(min=1e-6)


@mark("postprocess", inputs=("boxes", "scores"), outputs=("detections",))
def postprocess(
    boxes: Tensor, scores: Tensor, *, score_threshold: float = 0.3, iou_threshold: float = 0.5
) -> Tensor:
    """Detections (N, 50, 6) as x0, y0, x1, y1, score, class of boxes and scores of all cells.

    The best ones come first. A box is suppressed, and its score is 0, when a better one of
    the same class overlaps it by more than ``iou_threshold``, even where that one is
    suppressed itself (Bolya et al. 2019, "YOLACT", section 5: Fast NMS), or when its score
    does not reach ``score_threshold``. Nothing loops, so that it exports to ONNX.
    """
    best, classes = scores.max(dim=-1)
    score, order = best.topk(CANDIDATES, dim=-1)
    chosen = boxes.gather(1, order.unsqueeze(-1).expand(-1, -1, 4))
    label = classes.gather(1, order).to(boxes.dtype)
    same = label.unsqueeze(-1) == label.unsqueeze(-2)
    earlier = torch.ones(CANDIDATES, CANDIDATES).tril(diagonal=-1)  # column before row
    worst = (overlaps(chosen, chosen) * same.to(boxes.dtype) * earlier).amax(dim=-1)
    kept = (worst <= iou_threshold) & (score >= score_threshold)
    score = score * kept.to(boxes.dtype)
    return torch.cat([chosen, score.unsqueeze(-1), label.unsqueeze(-1)], dim=-1)


class DetectorWithNms(Detector):
    """The same network and the same weights, followed by ``postprocess``."""

    def __init__(self, width: int, score_threshold: float, iou_threshold: float) -> None:
        super().__init__(width)
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold

    def forward(self, image: Tensor) -> Detections:  # type: ignore[override]  # one, not two
        """Detections (N, 50, 6) of images (N, 3, 128, 128); see ``postprocess``."""
        boxes, scores = super().forward(image)
        found = postprocess(
            boxes,
            scores,
            score_threshold=self.score_threshold,
            iou_threshold=self.iou_threshold,
        )
        return Detections(detections=found)


def detector(*, width: int = 16) -> nn.Module:
    """The network without NMS: ``boxes`` and ``scores`` of all 320 cells."""
    return Detector(width)


def detector_with_nms(
    *, score_threshold: float = 0.3, iou_threshold: float = 0.5, width: int = 16
) -> nn.Module:
    """The network with NMS: ``detections``. It takes the same checkpoint."""
    return DetectorWithNms(width, score_threshold, iou_threshold)
