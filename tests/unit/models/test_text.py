"""Lines of text out of scores (CTC), and the dictionaries that they need."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_edge.errors import UsageError
from deployx_edge.model import PostProcessing
from deployx_edge.processing.geometry import Geometry
from deployx_edge.processing.postprocessing import interpret
from deployx_edge.processing.results import TextLine
from deployx_edge.processing.steps import parse_postprocessing, step_text, step_texts
from tests.unit.models.bundles import spec

SAME = Geometry(width=100, height=80, input_width=100, input_height=80)


def step_of(text: str, shape: tuple[int, ...]) -> PostProcessing:
    specs = [spec("o", shape, runtime_name="o")]
    step = parse_postprocessing(text, specs)
    assert parse_postprocessing(step_text(step), specs) == step
    return step


def read(text: str, scores: np.ndarray) -> TextLine:
    found = interpret(step_of(text, scores.shape), {"o": scores}, SAME)
    assert isinstance(found, TextLine)
    return found


def one_hot(classes: list[int], count: int, high: float = 0.75) -> np.ndarray:
    scores = np.full((1, len(classes), count), (1 - high) / (count - 1), np.float32)
    scores[0, np.arange(len(classes)), classes] = high
    return scores


def test_repeated_classes_and_blanks() -> None:
    scores = one_hot([0, 1, 1, 0, 1, 2, 2, 3, 0], 4)
    assert read("text,labels=a|b|c", scores) == TextLine(
        text="aabc", score=0.75, characters=(0.75,) * 4
    )
    # With the blank as the last class the others are one lower: a b b a b c c - a.
    assert read("text,labels=a|b|c,blank=last", scores).text == "ababca"
    turned = scores.transpose(1, 0, 2)
    assert read("text,labels=a|b|c", turned).text == "aabc"
    assert read("text,labels=a|b|c,layout=TNC", turned).text == "aabc"
    assert read("text,labels=a|b|c", one_hot([0, 0], 4)) == TextLine(text="", score=0.0)


def test_scores_that_need_a_softmax() -> None:
    scores = np.zeros((1, 2, 3), np.float32)
    scores[0, 0, 1] = np.log(2.0)
    assert read("text,labels=a|b,softmax", scores) == TextLine(
        text="a", score=pytest.approx(0.5), characters=(pytest.approx(0.5),)
    )


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_what_is_read_is_what_ctc_collapses(classes: list[int]) -> None:
    labels = "abcd"
    wanted, before = "", 0
    for index in classes:
        if index not in (0, before):
            wanted += labels[index - 1]
        before = index
    assert read("text,labels=a|b|c|d", one_hot(classes, 5)).text == wanted


def test_a_dictionary_becomes_the_labels(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_bytes("x\r\n|\r\n,\r\n\u3000\r\né\r\n".encode())
    step = step_of(f"text,dictionary={path}", (1, 7, 6))
    assert step.labels == ("x", "|", ",", "\u3000", "é")
    # Of one character less the space is left out in the file.
    step = step_of(f"text,dictionary={path}", (1, 7, 7))
    assert step.labels == ("x", "|", ",", "\u3000", "é", " ")
    # What the file holds is in the text: the file may go, and a changed file is another text.
    (text,) = step_texts([f"text,softmax,dictionary={path}"])
    assert step_texts([text]) == (text,)
    path.unlink()
    assert step_of(text, (1, 7, 6)).labels[0] == "x"
    assert step_of(text, (1, 7, 6)).text.softmax


def test_a_dictionary_of_another_size_names_both(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_text("a\nb\nc\n")
    for text in (f"text,dictionary={path}", *step_texts([f"text,dictionary={path}"])):
        with pytest.raises(
            UsageError, match=r"keys.txt has 3 characters; .* 1x7x9, which are 8 characters"
        ):
            step_of(text, (1, 7, 9))
    path.write_text("a\n\t\nc\n")
    with pytest.raises(UsageError, match=r"control character '\\t' as entry 2"):
        step_of(f"text,dictionary={path}", (1, 7, 4))
    with pytest.raises(UsageError, match="Nothing says what the 8 characters"):
        step_of("text", (1, 7, 9))
    with pytest.raises(UsageError, match=r"The dictionary .*gone.txt cannot be read"):
        step_of("text,dictionary=gone.txt", (1, 7, 9))
    with pytest.raises(UsageError, match="is 2x8; the scores of a line"):
        step_of("text,labels=a", (2, 8))
