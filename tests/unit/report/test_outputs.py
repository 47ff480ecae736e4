from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from deployx_edge.model import PostProcessing
from deployx_edge.report.outputs import outputs_table


def shown(*arguments: object) -> str:
    stream = io.StringIO()
    console = Console(width=160, file=stream)
    console.print(outputs_table(*arguments))  # type: ignore[arg-type]
    return stream.getvalue()


def test_the_largest_values_stand_with_their_index() -> None:
    text = shown({"scores": np.asarray([[0.5, 3.0, -1.0], [9.0, 0.0, 0.0]], np.float32)})
    assert "3 (1), 0.5 (0), -1 (2)" in text
    assert "9 (0)" in text


def test_labels_and_probabilities_are_those_of_the_post_processing() -> None:
    step = PostProcessing(output="scores", softmax=True, labels=("cat", "dog", "cow"))
    text = shown({"scores": np.log([[0.2, 0.7, 0.1]]).astype(np.float32)}, (step,))
    assert "0.7 (dog), 0.2 (cat), 0.1 (cow)" in text
