"""The matrix of architectures: what its page says, and a few of them converted anew.

The whole matrix takes an hour: ``python -m tests.integration.models.architecture_table``.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.integration.models.architecture_runner import Outcome, run_all
from tests.integration.models.architecture_table import PAGE, read_page
from tests.integration.models.architectures import all_architectures, find_architecture
from tests.runtimes import GENERAL
from tests.sampling import sampled

LEAST = 50
LEAST_RIGHT = 0.9
_PROCESSES = 2
# Of the quick ones without --all: for ncnn, and for each further runtime.
_SAMPLED = 4
_OF_EACH = 1
# One a family, and quick. What comes from a library that is only in the extra "architectures"
# is taken where that is installed.
QUICK = tuple(
    name
    for name in (
        "resnet18_wd2",
        "mobilenetv3_small_w7d20",
        "fastscnn_cityscapes",
        "simplepose_mobile_mobilenetv3_small_w1_coco",
        "edsr_bicubic",
        "crnn",
        "ViTForImageClassification",
        "MobileViTForImageClassification",
    )
    if importlib.util.find_spec(find_architecture(name).library)
)


@pytest.fixture(scope="module")
def page() -> dict[str, tuple[str, str]]:
    return read_page(PAGE.read_text(encoding="utf-8"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", sampled(QUICK, metafunc.config, _SAMPLED))


@pytest.fixture(scope="module")
def outcomes(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> dict[str, Outcome]:
    log = tmp_path_factory.mktemp("architectures") / "outcomes.jsonl"
    chosen = sampled(QUICK, pytestconfig, _SAMPLED)
    return run_all([find_architecture(name) for name in chosen], Path(log), _PROCESSES)


def test_the_page_lists_the_matrix(page: dict[str, tuple[str, str]]) -> None:
    """Where it fails: python -m tests.integration.models.architecture_table."""
    assert {name: family for name, (family, _) in page.items()} == {
        entry.name: entry.family for entry in all_architectures()
    }


def test_nine_in_ten_are_right_and_none_is_wrong(page: dict[str, tuple[str, str]]) -> None:
    verdicts = [verdict for _, verdict in page.values()]
    assert set(verdicts) <= {"right", "refused"}
    assert len(verdicts) >= LEAST
    assert verdicts.count("right") >= LEAST_RIGHT * len(verdicts)


def test_what_the_page_says_is_true(
    name: str, page: dict[str, tuple[str, str]], outcomes: dict[str, Outcome]
) -> None:
    assert outcomes[name].verdict == page[name][1], outcomes[name].detail


@pytest.mark.parametrize("runtime", GENERAL)
def test_some_are_right_in_every_runtime_that_takes_onnx(
    runtime: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    chosen = [find_architecture(name) for name in sampled(QUICK, request.config, _OF_EACH)]
    found = run_all(chosen, tmp_path / "outcomes.jsonl", _PROCESSES, runtime=runtime)
    assert {name: outcome.verdict for name, outcome in found.items()} == {
        entry.name: "right" for entry in chosen
    }
