"""``--runtime``: which runtime a model is for, on every command that takes a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deployx_edge.errors import UsageError
from deployx_edge.runtime import DEFAULT_RUNTIME, RUNTIMES
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.convert.inspect import inspect_model
from deployx_edge.workflows.measure.compare import compare
from deployx_edge.workflows.measure.run import run_anywhere
from tests.commands import whole_commands
from tests.integration.test_examples import deployx
from tests.runtimes import here, missing

DIGITS = Path("examples/digits/digits_cnn.onnx").resolve()
OTHER = next(name for name in RUNTIMES if name != DEFAULT_RUNTIME)
TAKES_A_MODEL = (
    *("convert", "push-and-bench", "bench", "profile", "run", "evaluate", "quantize", "push"),
    *("inspect", "compare", "devices doctor"),
)


@pytest.mark.parametrize("words", TAKES_A_MODEL)
def test_each_command_that_takes_a_model_has_it(words: str) -> None:
    options = whole_commands()[words].params
    assert "--runtime" in {name for option in options for name in option.opts}


@pytest.mark.parametrize("runtime", here())
def test_a_model_is_converted_for_it(runtime: str, tmp_path: Path) -> None:
    made = make_bundle(DIGITS, tmp_path / "b", BundleOptions(runtime=runtime))
    assert made.runtime == runtime


def test_without_it_a_bundle_is_what_it_is(tmp_path: Path) -> None:
    make_bundle(DIGITS, tmp_path / "b", BundleOptions(runtime=OTHER))
    assert make_bundle(tmp_path / "b").runtime == OTHER
    assert make_bundle(tmp_path / "b", options=BundleOptions(runtime=OTHER)).runtime == OTHER
    with pytest.raises(UsageError, match=f"bundle for {OTHER}, not for {DEFAULT_RUNTIME}") as e:
        make_bundle(tmp_path / "b", options=BundleOptions(runtime=DEFAULT_RUNTIME))
    assert f"--runtime {DEFAULT_RUNTIME}" in e.value.remedy


def test_one_that_does_not_exist_is_refused_with_the_nearest(tmp_path: Path) -> None:
    failed = deployx("convert", DIGITS, "-o", tmp_path / "b", "--runtime", "onnxruntimes", code=2)
    assert "There is no runtime 'onnxruntimes'. Did you mean onnxruntime?" in failed.stderr


@pytest.mark.parametrize("runtime", here())
def test_a_model_runs_here_as_the_runtime_has_it(runtime: str) -> None:
    found = run_anywhere(DIGITS, ["examples/digits/digits_test.npz"], None, runtime=runtime)
    source = run_anywhere(DIGITS, ["examples/digits/digits_test.npz"], None)
    for name, array in source.arrays.items():
        assert array.argmax(axis=1).tolist() == found.arrays[name].argmax(axis=1).tolist()


def test_compare_makes_the_bundle_where_none_is_named() -> None:
    found = compare(DIGITS, None, runtime=OTHER)
    assert found.layers
    assert {item.check.verdict for item in found.layers} == {"same"}


def test_inspect_looks_at_one_runtime() -> None:
    assert set(inspect_model(DIGITS).refused) == {name for name in RUNTIMES if not missing(name)}
    assert set(inspect_model(DIGITS, runtime=OTHER).refused) == {OTHER}
    told = json.loads(deployx("inspect", DIGITS, "--runtime", OTHER, "--json").stdout)
    assert set(told["refused"]) == {OTHER}
