"""Train the segmenter on drawn shapes and say how good it is on images it has not seen.

Needs torch, numpy and pillow; run it from the repository's root:

    pip install torch==2.13.0 numpy pillow
    python -m examples.segmenter.train

It writes ``segmenter.pt`` (the weights), ``shapes_test.npz`` and ``picture_*.png`` beside
itself. The seed is fixed; it takes about three minutes on one core.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from examples.segmenter.model import CLASSES, SIDE, Segmenter
from examples.shapes.drawing import CLASSES as NAMES
from examples.shapes.drawing import Picture, draw_many, to_input

HERE = Path(__file__).resolve().parent
SEED = 20261121
PICTURES, HELD_OUT = 2000, 100
SAVED = 24  # of the held-out images, in shapes_test.npz
EPOCHS = 8
BATCH = 8


def train(pictures: list[Picture]) -> Segmenter:
    """The trained network, in evaluation mode."""
    images = np.stack([picture.pixels for picture in pictures])
    masks = torch.from_numpy(np.stack([picture.mask for picture in pictures])).long()
    network = Segmenter()
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=1e-2)
    steps = EPOCHS * -(-len(pictures) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in torch.split(torch.randperm(len(images)), BATCH):
            optimizer.zero_grad()
            image = torch.from_numpy(to_input(images[batch.numpy()]))
            image = image.contiguous(memory_format=torch.channels_last)  # a quarter faster
            loss = nn.functional.cross_entropy(network(image), masks[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        print(f"epoch {epoch + 1} of {EPOCHS}: loss {total / len(images):.3f}", flush=True)
    return network.eval()


def intersections_over_unions(
    seen: NDArray[np.int64], masks: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """For each class, the pixels in both over the pixels in either, of all images together."""
    both = [((seen == label) & (masks == label)).sum() for label in range(CLASSES)]
    either = [((seen == label) | (masks == label)).sum() for label in range(CLASSES)]
    ious: NDArray[np.float64] = np.array(both) / np.array(either)
    return ious


def report(network: Segmenter, pictures: list[Picture]) -> None:
    """Print the IoU of each class, their mean, and how many pixels are right."""
    images = torch.from_numpy(to_input(np.stack([picture.pixels for picture in pictures])))
    masks = np.stack([picture.mask for picture in pictures])
    with torch.no_grad():
        seen = network(images).argmax(dim=1).numpy()
    ious = intersections_over_unions(seen, masks)
    for name, iou in zip(("ground", *NAMES), ious, strict=True):
        print(f"{name}: IoU {iou:.4f}")
    print(f"mIoU on {len(pictures)} held-out images: {ious.mean():.4f}")
    print(f"pixels right: {(seen == masks).mean():.4f}")


def save_test_pictures(pictures: list[Picture]) -> None:
    """Images with their masks as arrays, four as the model's input, and two as PNG files."""
    pixels = np.stack([picture.pixels for picture in pictures])
    masks = np.stack([picture.mask for picture in pictures])
    np.savez_compressed(
        HERE / "shapes_test.npz", image=to_input(pixels[:4]), pixels=pixels, mask=masks
    )
    with_all = [row for row, mask in enumerate(masks) if len(np.unique(mask)) == CLASSES]
    for row in with_all[:2]:
        Image.fromarray(pixels[row]).save(HERE / f"picture_{row}.png", optimize=True)


def main() -> None:
    """Train, save, and say how good it is."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # the same sums in the same order on every computer
    held_out = draw_many(SEED + 1, HELD_OUT, SIDE)
    network = train(draw_many(SEED, PICTURES, SIDE))
    torch.save(network.state_dict(), HERE / "segmenter.pt")
    save_test_pictures(held_out[:SAVED])
    report(network, held_out)


if __name__ == "__main__":
    main()
