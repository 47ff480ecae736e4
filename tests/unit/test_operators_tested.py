"""What ``op test`` found is remembered for ``op list``, as long as the operator's files stay."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deployx_edge.operator_facts import all_operators
from deployx_edge.operator_file import OperatorFacts
from deployx_edge.resources import state_folder
from deployx_edge.workflows.operators.tested import keep_outcomes, last_results


@dataclass(frozen=True)
class Outcome:
    runtime: str
    place: str
    verdict: str


@pytest.fixture
def facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OperatorFacts:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return in_folder(tmp_path / "one" / "shift")


def in_folder(folder: Path) -> OperatorFacts:
    folder.mkdir(parents=True)
    (folder / "ncnn.cpp").write_text("one")
    return replace(next(iter(all_operators().values())), folder=folder)


def found(facts: OperatorFacts) -> list[tuple[str, str, int, int, bool]]:
    return [(e.runtime, e.place, e.right, e.cases, e.current) for e in last_results(facts)]


def test_the_last_result_of_each_place_stands(facts):
    assert found(facts) == []
    outcomes = [Outcome("ncnn", "here", "wrong"), Outcome("onnxruntime", "here", "right")]
    keep_outcomes(facts, [*outcomes, Outcome("ncnn", "here", "right")])
    keep_outcomes(facts, [Outcome("ncnn", "pi", "right")])
    keep_outcomes(facts, [Outcome("onnxruntime", "here", "failed")])
    assert found(facts) == [
        ("ncnn", "here", 1, 2, True),
        ("onnxruntime", "here", 0, 1, True),
        ("ncnn", "pi", 1, 1, True),
    ]


def test_a_changed_file_of_the_operator_is_told(facts):
    keep_outcomes(facts, [Outcome("ncnn", "here", "right")])
    (facts.folder / "ncnn.cpp").write_text("two")
    assert found(facts) == [("ncnn", "here", 1, 1, False)]


def test_an_operator_of_that_name_in_another_project_is_another(facts, tmp_path):
    keep_outcomes(facts, [Outcome("ncnn", "here", "right")])
    assert found(in_folder(tmp_path / "two" / "shift")) == []


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"runtime": "ncnn"}]', "\xff"])
def test_a_damaged_memory_is_none(facts, text):
    keep_outcomes(facts, [Outcome("ncnn", "here", "right")])
    (file,) = (state_folder() / "operators").iterdir()
    file.write_bytes(text.encode("latin-1"))
    assert found(facts) == []
    keep_outcomes(facts, [Outcome("ncnn", "here", "right")])
    assert found(facts) == [("ncnn", "here", 1, 1, True)]


def test_a_folder_that_takes_nothing_ends_no_test(facts, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    keep_outcomes(facts, [Outcome("ncnn", "here", "right")])
    assert found(facts) == []
