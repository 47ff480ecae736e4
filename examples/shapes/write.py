"""Write drawn images as a data set: for calibration, or to measure accuracy on more of them.

    python -m examples.shapes.write FOLDER [--count 128] [--side 128] [--seed 1]

``FOLDER/images`` holds the images, ``FOLDER/annotations.json`` their boxes as COCO has them,
``FOLDER/masks`` the class of each pixel (0: ground). Another seed gives other images; the
examples' own test images and those that they were trained on have none of the seeds below 1000.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from PIL import Image

from examples.shapes.drawing import CLASSES, Picture, draw_many


def write(pictures: list[Picture], folder: Path) -> None:
    """Write all of it; what is there already under the same names is replaced."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(pictures):
        Image.fromarray(picture.pixels).save(folder / "images" / f"{index:04}.png")
        Image.fromarray(picture.mask).save(folder / "masks" / f"{index:04}.png")
    text = json.dumps(_annotations(pictures))
    (folder / "annotations.json").write_text(text + "\n", encoding="utf-8")


def _annotations(pictures: list[Picture]) -> dict[str, Any]:
    """COCO's detection format: boxes are x, y, width and height in pixels."""
    boxes: list[dict[str, Any]] = []
    for index, picture in enumerate(pictures):
        for box, label in zip(picture.boxes, picture.labels, strict=True):
            x, y, right, bottom = (float(value) for value in box)
            width, height = right - x, bottom - y
            boxes.append(
                {
                    "id": len(boxes) + 1,
                    "image_id": index + 1,
                    "category_id": int(label) + 1,
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
    return {
        "images": [
            {
                "id": index + 1,
                "file_name": f"{index:04}.png",
                "width": picture.pixels.shape[1],
                "height": picture.pixels.shape[0],
            }
            for index, picture in enumerate(pictures)
        ],
        "annotations": boxes,
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)],
    }


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    write(draw_many(arguments.seed, arguments.count, arguments.side), arguments.folder)
    print(f"{arguments.count} images in {arguments.folder}")


if __name__ == "__main__":
    main()
