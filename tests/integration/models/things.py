"""What the tests of data sets of boxes and masks share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.datasets import Dataset, open_dataset
from deployx_edge.model import PreProcessing
from tests.unit.models.bundles import spec

INPUT = spec()  # image: 1x3x8x6
STEP = PreProcessing(input="image", width=6, height=8, fit="letterbox")
WIDTH, HEIGHT = 20, 10


def opened(path: Path, **options: Any) -> Dataset:
    return open_dataset(path, inputs=[INPUT], preprocessing=[STEP], **options)


def refused(path: Path, words: str, **options: Any) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        list(opened(path, **options))
    assert "\n" not in str(caught.value)


def image(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path
