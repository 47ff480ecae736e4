"""Train the detector on drawn shapes and say how good it is on images it has not seen.

Needs torch, numpy and pillow; run it from the repository's root:

    pip install torch==2.13.0 numpy pillow
    python -m examples.detector.train

It writes ``detector.pt`` (the weights), ``shapes_test.npz`` and ``picture_*.png`` beside
itself. The seed is fixed; it takes about three minutes on one core.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from examples.detector.model import (
    CLASSES,
    SIDE,
    STRIDES,
    Detector,
    cells,
    detector_with_nms,
    overlaps,
)
from examples.shapes.drawing import CLASSES as NAMES
from examples.shapes.drawing import MOST_SHAPES, Picture, draw_many, to_input

HERE = Path(__file__).resolve().parent
SEED = 20261121
PICTURES, HELD_OUT = 3000, 200
SAVED = 24  # of the held-out images, in shapes_test.npz
EPOCHS = 8
BATCH = 32
FINE_UP_TO = 40  # pixels; larger shapes are the coarse scale's
REACH = 1.5  # strides from a shape's middle, within which its cells lie


def targets(picture: Picture) -> tuple[Tensor, Tensor]:
    """Which box (320, 4) each cell shall give, and which class (320,); class -1: none.

    A shape is the business of the cells near its middle on the scale of its size ("center
    sampling" of FCOS); where two shapes want a cell, the smaller one gets it.
    """
    centres, strides = cells()
    boxes, labels = torch.from_numpy(picture.boxes), torch.from_numpy(picture.labels)
    wanted, classes = torch.zeros(len(centres), 4), torch.full((len(centres),), -1)
    sizes = boxes[:, 2:] - boxes[:, :2]
    for index in sizes.prod(dim=1).argsort(descending=True).tolist():
        middle = (boxes[index, :2] + boxes[index, 2:]) / 2
        stride = STRIDES[0] if sizes[index].max() <= FINE_UP_TO else STRIDES[1]
        reach = (sizes[index] / 2).clamp(max=REACH * stride)
        near = ((centres - middle).abs() < reach).all(dim=1) & (strides[:, 0] == stride)
        wanted[near] = boxes[index]
        classes[near] = labels[index]
    return wanted, classes


def loss_of(network: Detector, image: Tensor, wanted: Tensor, classes: Tensor) -> Tensor:
    """One number for a batch: how far boxes and scores are from what they shall be.

    Boxes cost 1 - IoU. A score shall be the IoU that its box reaches, so that it says how
    good the box is (Li et al. 2020, "Generalized Focal Loss", equation 2 with beta 2).
    """
    raw = network.raw(image)
    positive = classes >= 0
    boxes = network.decode(raw)[positive]
    reached = overlaps(boxes[:, None], wanted[positive][:, None])[:, 0, 0]
    quality = torch.zeros(*classes.shape, CLASSES)
    quality[positive] = (
        nn.functional.one_hot(classes[positive], CLASSES) * reached.detach()[:, None]
    )
    logits = raw[..., 4:]
    weight = (quality - torch.sigmoid(logits).detach()).square()
    score_loss = nn.functional.binary_cross_entropy_with_logits(
        logits, quality, weight=weight, reduction="sum"
    )
    return (score_loss + 2 * (1 - reached).sum()) / positive.sum().clamp(min=1)


def train(pictures: list[Picture]) -> Detector:
    """The trained network, in evaluation mode."""
    images = torch.from_numpy(np.stack([picture.pixels for picture in pictures]))
    both = [targets(picture) for picture in pictures]
    wanted, classes = torch.stack([one for one, _ in both]), torch.stack([one for _, one in both])
    network = Detector()
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=1e-2)
    steps = EPOCHS * -(-len(pictures) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in torch.split(torch.randperm(len(images)), BATCH):
            optimizer.zero_grad()
            image = torch.from_numpy(to_input(images[batch].numpy()))
            loss = loss_of(network, image, wanted[batch], classes[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        print(f"epoch {epoch + 1} of {EPOCHS}: loss {total / len(images):.3f}", flush=True)
    return network.eval()


def detect(network: Detector, pictures: list[Picture]) -> NDArray[np.float32]:
    """Detections (N, 50, 6) of the images, with every score that NMS leaves."""
    whole = detector_with_nms(score_threshold=0.01)
    whole.load_state_dict(network.state_dict())
    images = torch.from_numpy(to_input(np.stack([picture.pixels for picture in pictures])))
    with torch.no_grad():
        found: NDArray[np.float32] = whole.eval()(images).numpy()
    return found


def matches(
    found: NDArray[np.float32], pictures: list[Picture], label: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Scores, falling, of all detections of a class, and which of them are right.

    Right is the first that overlaps a shape, which no better one has taken, by half or more.
    """
    taken = [np.zeros(len(picture.labels), dtype=bool) for picture in pictures]
    scored = np.argwhere((found[..., 4] > 0) & (found[..., 5] == label))
    order = scored[np.argsort(-found[scored[:, 0], scored[:, 1], 4], kind="stable")]
    right = np.zeros(len(order), dtype=bool)
    for rank, (which, row) in enumerate(order):
        picture = pictures[which]
        box = torch.from_numpy(found[which, row : row + 1, :4])
        overlap = overlaps(box, torch.from_numpy(picture.boxes))[0].numpy()
        overlap = np.where((picture.labels == label) & ~taken[which], overlap, 0)
        if overlap.max() >= 0.5:
            taken[which][overlap.argmax()] = right[rank] = True
    return found[order[:, 0], order[:, 1], 4], right


def average_precision(right: NDArray[np.bool_], shapes: int) -> float:
    """Area under the curve of precision over recall, precision made falling (VOC since 2010)."""
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[right].sum() / shapes)


def report(network: Detector, pictures: list[Picture]) -> None:
    """Print the average precision of each class, and what a threshold of 0.3 gives."""
    found = detect(network, pictures)
    labels = np.concatenate([picture.labels for picture in pictures])
    precisions, right_ones, all_ones = [], 0, 0
    for label, name in enumerate(NAMES):
        scores, right = matches(found, pictures, label)
        precisions.append(average_precision(right, int((labels == label).sum())))
        right_ones += int(right[scores >= 0.3].sum())
        all_ones += int((scores >= 0.3).sum())
        print(f"{name}: AP at IoU 0.5 {precisions[-1]:.4f}")
    print(f"mAP at IoU 0.5 on {len(pictures)} held-out images: {np.mean(precisions):.4f}")
    print(
        f"at score 0.3: precision {right_ones / all_ones:.4f} ({right_ones} of {all_ones}), "
        f"recall {right_ones / len(labels):.4f} ({right_ones} of {len(labels)})"
    )


def save_test_pictures(pictures: list[Picture]) -> None:
    """Images with their boxes as arrays, four as the model's input, and two as PNG files."""
    pixels = np.stack([picture.pixels for picture in pictures])
    boxes = np.zeros((len(pictures), MOST_SHAPES, 4), dtype=np.float32)
    labels = np.full((len(pictures), MOST_SHAPES), -1, dtype=np.int64)
    for row, picture in enumerate(pictures):
        boxes[row, : len(picture.boxes)] = picture.boxes
        labels[row, : len(picture.labels)] = picture.labels
    np.savez_compressed(
        HERE / "shapes_test.npz",
        image=to_input(pixels[:4]),
        pixels=pixels,
        boxes=boxes,
        labels=labels,
    )
    with_all = [row for row, picture in enumerate(pictures) if len(set(picture.labels)) == CLASSES]
    for row in with_all[:2]:
        Image.fromarray(pixels[row]).save(HERE / f"picture_{row}.png", optimize=True)


def main() -> None:
    """Train, save, and say how good it is."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # the same sums in the same order on every computer
    held_out = draw_many(SEED + 1, HELD_OUT, SIDE)
    network = train(draw_many(SEED, PICTURES, SIDE))
    torch.save(network.state_dict(), HERE / "detector.pt")
    save_test_pictures(held_out[:SAVED])
    report(network, held_out)


if __name__ == "__main__":
    main()
