"""Runtimes that read ONNX on boards: each kind of model gives what it gives on this computer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from deployx_edge.bundle import Bundle
from deployx_edge.device import Device
from deployx_edge.errors import UsageError
from deployx_edge.measurement.values import BenchPlan
from deployx_edge.workflows.boards.session import Session, open_session
from deployx_edge.workflows.convert.bundle import BundleOptions, TorchOptions, make_bundle
from deployx_edge.workflows.measure.bench import bench, profile
from deployx_edge.workflows.measure.run import run, run_bundle_here
from tests.integration.board import Sshd
from tests.integration.models.onnx_kinds import KINDS
from tests.integration.models.onnx_models import save
from tests.integration.test_examples import deployx
from tests.runtimes import GENERAL

# A processor without half floats and one with them.
BOARDS = (
    "local:",
    "ssh",
    "virtual:linux-arm64?cpu=cortex-a53",
    "virtual:linux-arm64?cpu=cortex-a76",
)


READING_ONNX = GENERAL
EXAMPLES = ("digits", "detector", "segmenter")
# Emulated, each load of these takes seconds: what runs of it without --all, by processor.
SLOW_LOADS = {"openvino"}
ENOUGH = {
    "cortex-a53": {"digits", "int8"},
    "cortex-a76": {"digits", "detector", "segmenter", "transformer", "open", "int8"},
}
# These compute the quantized convolution here in fp32 on Arm, and say so.
FLOAT_ON_ARM = {"openvino"}
# Those that tell the times of nodes inside a loop.
TELL_INNER_NODES = {"onnxruntime"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A session with a board, and one runtime's bundles for it; ``examples`` with test images."""

    runtime: str
    uri: str
    whole: bool
    session: Session
    bundles: Mapping[str, Bundle]
    examples: Mapping[str, tuple[Bundle, np.ndarray]]

    def want(self, name: str) -> None:
        """Skip what is left to --all."""
        _, is_emulated, processor = self.uri.partition("?cpu=")
        is_slow = bool(is_emulated) and self.runtime in SLOW_LOADS
        if is_slow and not self.whole and name not in ENOUGH[processor]:
            pytest.skip(f"{name} in {self.runtime} on an emulated {processor}: --all has it")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Bundle]]:
    folder = tmp_path_factory.mktemp("kinds")
    sources = {name: save(kind.make(), folder / f"{name}.onnx") for name, kind in KINDS.items()}
    made: dict[str, dict[str, Bundle]] = {runtime: {} for runtime in READING_ONNX}
    for runtime in READING_ONNX:
        for name, kind in KINDS.items():
            options = BundleOptions(
                runtime=runtime, input_shapes=kind.words, precision=kind.precision
            )
            made[runtime][name] = make_bundle(sources[name], options=options)
    return made


@pytest.fixture(scope="module")
def examples() -> dict[str, dict[str, tuple[Bundle, np.ndarray]]]:
    """The trained examples, each with some of its test images as its input takes them."""
    first, *others = READING_ONNX
    made = {first: {name: _example(first, name) for name in EXAMPLES}}
    for runtime in others:  # from what the first has of them: exports take long
        options = BundleOptions(runtime=runtime)
        made[runtime] = {
            name: (make_bundle(bundle.path("onnx"), options=options), images)
            for name, (bundle, images) in made[first].items()
        }
    return made


def _example(runtime: str, name: str) -> tuple[Bundle, np.ndarray]:
    if name == "digits":
        with np.load("examples/digits/digits_test.npz") as data:
            images = data["image"][:8]
        source, options = Path("examples/digits/digits_cnn.onnx"), BundleOptions(runtime=runtime)
    else:
        with np.load(f"examples/{name}/shapes_test.npz") as data:
            images = data["image"][:2]
        options = BundleOptions(
            runtime=runtime,
            input_shapes=(f"image:{'x'.join(map(str, (1, *images.shape[1:])))}",),
            torch=TorchOptions(checkpoint=Path(f"examples/{name}/{name}.pt")),
        )
        source = Path(f"examples.{name}.model:{name}")
    return make_bundle(source, options=options), images


@pytest.fixture(
    scope="module",
    params=[(runtime, board) for board in BOARDS for runtime in READING_ONNX],
    ids=lambda pair: "-".join(pair),
)
def board(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    bundles: dict[str, dict[str, Bundle]],
    examples: dict[str, dict[str, tuple[Bundle, np.ndarray]]],
) -> Iterator[Place]:
    """A session with each of the boards."""
    runtime, uri = request.param
    device = Device(name="board", uri=uri)
    if uri == "ssh":
        sshd: Sshd = request.getfixturevalue("sshd")
        folder = str(tmp_path_factory.mktemp("board"))
        device = Device(name="board", uri=sshd.uri, work_folder=folder, options=sshd.options())
    with open_session(device) as session:
        yield Place(
            runtime=runtime,
            uri=uri,
            whole=request.config.getoption("--all"),
            session=session,
            bundles=bundles[runtime],
            examples=examples[runtime],
        )


@pytest.mark.parametrize("name", KINDS)
def test_the_outputs_are_those_of_this_computer(board: Place, name: str) -> None:
    board.want(name)
    for inputs in KINDS[name].inputs:
        wanted = run_bundle_here(board.bundles[name], inputs)
        found = run(board.session, board.bundles[name], inputs)
        assert list(found) == list(wanted)
        for output, array in wanted.items():
            assert found[output].dtype == array.dtype
            assert found[output].shape == array.shape
            if array.dtype.kind != "f":
                np.testing.assert_array_equal(found[output], array)
            else:
                # A sum that is rounded to the next code of int8 is a whole step away; processors
                # with half floats compute in them.
                step = {"int8": 0.05, "halves": 0.02}.get(name, 1e-5)
                np.testing.assert_allclose(found[output], array, rtol=1e-5, atol=step)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_trained_examples_give_what_they_give_here(board: Place, name: str) -> None:
    board.want(name)
    bundle, images = board.examples[name]
    inputs = {bundle.inputs[0].name: images}
    wanted, found = run_bundle_here(bundle, inputs), run(board.session, bundle, inputs)
    for output, array in wanted.items():
        scale = float(np.abs(array).max())
        np.testing.assert_allclose(found[output], array, rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.parametrize(("name", "precision"), [("cnn", "fp32"), ("int8", "int8")])
def test_a_bench_and_a_profile_tell_what_ran(board: Place, name: str, precision: str) -> None:
    board.want(name)
    if board.runtime in FLOAT_ON_ARM and "arm64" in board.uri:
        precision = "fp32"
    plan = BenchPlan(warmup=1, iterations=8)
    (result,) = bench(board.session, board.bundles[name], plan=plan)
    assert len(result.bench.samples_ns) == 8
    assert precision in {count.precision for count in result.bench.precisions}
    found = profile(board.session, board.bundles[name], warmup=1, iterations=3)
    # What is fused with its activation has another name.
    convolutions = [layer for layer in found.profile.layers if "Conv" in layer.type]
    assert {layer.precision for layer in convolutions} == {precision}
    assert all(len(layer.samples_ns) == 3 for layer in found.profile.layers)
    assert sum(np.median(layer.samples_ns) for layer in found.profile.layers) > 0


def test_nodes_inside_a_loop_are_layers_and_not_counted_twice(board: Place) -> None:
    if board.runtime not in TELL_INNER_NODES:
        pytest.skip(f"{board.runtime} tells a loop as one layer")
    found = profile(board.session, board.bundles["branches"], warmup=0, iterations=4)
    ends = [layer.name.rpartition("/")[2] for layer in found.profile.layers]
    assert len({"more", "less"} & set(ends)) == 1
    assert "double" in ends
    times = {layer.type: layer.samples_ns for layer in found.profile.layers}
    assert {"Loop", "If"} <= set(times)
    assert all(len(samples) == 4 for samples in times.values())


def test_an_axis_beyond_its_range_is_refused_before_the_board_is_asked(board: Place) -> None:
    inputs = {"image": np.zeros((1, 3, 33, 8), np.float32)}
    with pytest.raises(UsageError, match=r"has the shape Nx3x\{8\.\.32\}x\{8\.\.32\}, the array"):
        run(board.session, board.bundles["open"], inputs)


def test_tensors_inside_are_those_of_this_computer(board: Place) -> None:
    board.want("cnn")
    (inputs,) = KINDS["cnn"].inputs
    names = ("c2", "p3")
    found = run(board.session, board.bundles["cnn"], inputs, dump=names)
    wanted = run_bundle_here(board.bundles["cnn"], inputs, dump=names)
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5)


def test_a_second_push_sends_nothing(board: Place) -> None:
    board.session.push(board.bundles["cnn"])
    again = board.session.push(board.bundles["cnn"])
    assert again.sent_bytes == 0
    # Worker and library go along.
    assert again.total_bytes > 20_000_000


@pytest.mark.parametrize("runtime", READING_ONNX)
def test_from_a_file_to_a_table_in_one_command(runtime: str) -> None:
    digits = Path(__file__).parents[2] / "examples" / "digits" / "digits_cnn.onnx"
    words = ("--runtime", runtime, "-d", "local:", "--iterations", "20", "--json")
    (result,) = json.loads(deployx("push-and-bench", digits, *words).stdout)["results"]
    assert result["model"]["runtime"] == runtime
    assert len(result["bench"]["samples_ns"]) == 20
    assert [count["precision"] for count in result["bench"]["precisions"]] == ["fp32"]
