"""What is said of tensors that are within limits and still not the same."""

from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from deployx_edge.comparison import TOLERANCES, LayerCheck
from deployx_edge.report.comparison import comparison_document, comparison_report
from tests.unit.comparing import compare_output


def layer(name: str, snr: float) -> LayerCheck:
    random = np.random.default_rng(1)
    reference = [random.standard_normal((1, 4, 200)) for _ in range(6)]
    noise = [random.standard_normal((1, 4, 200)) * 10 ** (-snr / 20) for _ in range(6)]
    found = [one + two for one, two in zip(reference, noise, strict=True)]
    check = compare_output(name, reference, found, TOLERANCES["int8"])
    return LayerCheck(layer=name, type="Convolution", check=check)


def text_of(*layers: LayerCheck) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(comparison_report("b beside m", "int8", layers))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_thirteen_decibels_are_not_the_same() -> None:
    right, noisy, worst = layer("a", 50), layer("b", 13), layer("c", 12.5)
    assert "No tensor of 1 differs." in text_of(right)
    told = text_of(right, worst, noisy)
    assert "differs by more than int8 may cost; 2 are rounded, 'c' most (12 dB)." in told
    document = comparison_document("t", "int8", (right, noisy), ran="int8 (2)", warning=None)
    assert [row["verdict"] for row in document["layers"]] == ["same", "rounded"]
    assert document["ran"] == "int8 (2)"
    assert "first to differ is 'd'" in text_of(right, layer("d", 3))
