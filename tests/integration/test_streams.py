"""Recurrent and streaming models step after step: the state stays on the board."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from deployx_edge import BenchJob, BenchPlan, Device, Session, open_session
from deployx_edge import run as run_model
from deployx_edge.bundle import Bundle
from deployx_edge.errors import AgentError, UsageError
from deployx_edge.feed_back import parse_feed_back
from deployx_edge.progress import Runs
from deployx_edge.runtime import GENERAL_RUNTIME
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.measure.run import run_anywhere
from tests.integration.models.onnx_models import constant, model, save
from tests.integration.models.test_trained_models import _CONTEXT, _SAMPLES, packaged, sound
from tests.integration.processes import children
from tests.integration.test_examples import deployx
from tests.runtimes import ON_PROCESSORS

_SIZE = 8
_FEED = ("stateN=state",)


def recurrent() -> onnx.ModelProto:
    """stateN = state / 2 + x, y = 2 stateN."""
    return model(
        [
            helper.make_node("Mul", ["state", "half"], ["halved"], name="halve"),
            helper.make_node("Add", ["halved", "x"], ["stateN"], name="add"),
            helper.make_node("Mul", ["stateN", "two"], ["y"], name="double"),
        ],
        {"x": [1, _SIZE], "state": [1, _SIZE]},
        {"y": [1, _SIZE], "stateN": [1, _SIZE]},
        [constant("half", np.float32(0.5)), constant("two", np.float32(2))],
    )


def closed_form(x: np.ndarray, state: float = 0.0) -> np.ndarray:
    """The state after each step: the sum of all x so far, halved once a step, in doubles."""
    steps = len(x)
    weights = np.tril(0.5 ** np.subtract.outer(np.arange(steps), np.arange(steps)))
    decay = state * 0.5 ** np.arange(1, steps + 1)
    found: np.ndarray = weights @ x.reshape(steps, -1).astype(np.float64) + decay[:, None]
    return found


def growing() -> onnx.ModelProto:
    """cacheN = cache and x behind it, y = its sum: a cache that grows by one in each step."""
    return model(
        [
            helper.make_node("Concat", ["cache", "x"], ["cacheN"], name="join", axis=1),
            helper.make_node("ReduceSum", ["cacheN", "axes"], ["y"], name="sum", keepdims=0),
        ],
        {"x": [1, 1, 4], "cache": [1, "past", 4]},
        {"y": [1, 4], "cacheN": [1, "all", 4]},
        [constant("axes", np.array([1]))],
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(recurrent(), tmp_path_factory.mktemp("recurrent") / "recurrent.onnx")


@pytest.fixture(scope="module")
def bundles(source: Path) -> dict[str, Bundle]:
    return {
        name: make_bundle(source, source.parent / name, BundleOptions(runtime=name))
        for name in ON_PROCESSORS
    }


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = str(tmp_path_factory.mktemp("board"))
    with open_session(Device(name="here", uri="local:", work_folder=folder)) as session:
        yield session


def noise(steps: int) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((steps, 1, _SIZE)).astype(np.float32)


@pytest.mark.parametrize("runtime", ON_PROCESSORS)
def test_many_steps_follow_the_closed_form(
    board: Session, bundles: dict[str, Bundle], runtime: str
) -> None:
    x = noise(500)
    inputs = {"x": x, "state": np.full((1, _SIZE), 3, dtype=np.float32)}
    found = run_model(board, bundles[runtime], inputs, feed_back=_FEED)
    wanted = closed_form(x, 3.0)
    assert found["y"].shape == (500, 1, _SIZE)
    assert found["stateN"].shape == (1, 1, _SIZE)
    np.testing.assert_allclose(found["y"][:, 0], 2 * wanted, atol=1e-5)
    np.testing.assert_allclose(found["stateN"][0, 0], wanted[-1], atol=1e-5)
    every = run_model(board, bundles[runtime], inputs, feed_back=_FEED, steps=40, dump=["stateN"])
    np.testing.assert_allclose(every["stateN"][:, 0], wanted[:40], atol=1e-5)


def voice(steps: int) -> np.ndarray:
    """What the voice detector takes at each step: samples, and the last of those before them."""
    samples = np.tile(sound(), 2)[: steps * _SAMPLES]
    padded = np.concatenate([np.zeros(_CONTEXT, dtype=np.float32), samples])
    starts = range(0, steps * _SAMPLES, _SAMPLES)
    return np.stack([padded[start : start + _SAMPLES + _CONTEXT] for start in starts])[:, None]


def voice_probabilities(path: Path, x: np.ndarray) -> np.ndarray:
    """What ONNX Runtime gives for the file as it is, without anything of ours."""
    session = onnxruntime.InferenceSession(path)
    state, found = np.zeros((2, 1, 128), dtype=np.float32), []
    for part in x:
        given = {"input": part, "state": state, "sr": np.array(16000)}
        output, state = session.run(["output", "stateN"], given)
        found.append(output)
    return np.stack(found)


@pytest.fixture(scope="module", params=ON_PROCESSORS)
def detector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    words = ("input:1x576", "state:2x1x128", "sr=16000")
    options = BundleOptions(runtime=request.param, input_shapes=words)
    path = packaged("silero_vad", "data/silero_vad_16k_op15.onnx")
    return make_bundle(path, tmp_path_factory.mktemp("voice") / request.param, options)


@pytest.mark.parametrize(("device", "steps"), [("local:", 200), ("virtual:linux-arm64", 100)])
def test_a_voice_detector_runs_on_a_board_as_in_its_own_runtime(
    tmp_path: Path, detector: Bundle, device: str, steps: int
) -> None:
    x = voice(steps)
    np.savez(tmp_path / "voice.npz", input=x)
    done = deployx(
        *("run", detector.folder, "-i", tmp_path / "voice.npz", "--feed-back", "stateN=state"),
        # An emulated board that shares a busy computer was seen to load for more than a minute.
        *("--device", device, "--output", tmp_path / "out.npz", "--watchdog", 600),
    )
    assert f"Outputs of {steps} steps" in done.stdout
    with np.load(tmp_path / "out.npz") as file:
        found = {name: file[name] for name in file.files}
    wanted = voice_probabilities(packaged("silero_vad", "data/silero_vad_16k_op15.onnx"), x)
    assert np.ptp(wanted) > 0.2
    np.testing.assert_allclose(found["output"], wanted, atol=1e-4)
    assert found["stateN"].shape == (1, 2, 1, 128)


def test_the_source_and_a_bundle_run_step_after_step_here(
    tmp_path: Path, source: Path, bundles: dict[str, Bundle]
) -> None:
    x = noise(30)
    np.savez(tmp_path / "x.npz", x=x)
    for what in (source, *(bundle.folder for bundle in bundles.values())):
        words = [str(tmp_path / "x.npz")]
        found = run_anywhere(what, words, None, feed_back=_FEED, steps=25)
        assert found.steps == 25
        np.testing.assert_allclose(found.arrays["y"][:, 0], 2 * closed_form(x)[:25], atol=1e-5)


def test_a_bench_runs_steps_and_says_so(tmp_path: Path, bundles: dict[str, Bundle]) -> None:
    words = ("bench", bundles[GENERAL_RUNTIME].folder, "-d", "local:", "-n", 30, "--warmup", 2)
    output = tmp_path / "bench.json"
    done = deployx(*words, "--feed-back", "stateN=state", "--output", output)
    assert "stateN as state: each run is one step" in done.stdout
    (result,) = json.loads(output.read_text())["results"]
    assert result["plan"]["feed_back"] == [{"output": "stateN", "input": "state"}]
    assert len(result["bench"]["samples_ns"]) == 30
    # Steps and runs of their own are not the same measurement.
    compared = deployx(*words, "--compare", output, "--json")
    texts = [each["text"] for each in json.loads(compared.stdout)["comparisons"]]
    assert any("outputs fed back stateN=state instead of none" in text for text in texts), texts


@pytest.mark.parametrize(
    ("word", "batch", "said"),
    [
        ("stateM=state", 1, "no output 'stateM'. Did you mean stateN"),
        ("stateN=stat", 1, "no input 'stat'. Did you mean state"),
        ("stateN=state", 2, "one sample in each"),
    ],
)
def test_a_bench_refuses_what_cannot_be_fed_back(
    bundles: dict[str, Bundle], word: str, batch: int, said: str
) -> None:
    plan = BenchPlan(feed_back=parse_feed_back([word]))
    with pytest.raises(UsageError, match=said):
        BenchJob(bundle=bundles[GENERAL_RUNTIME], plan=plan, batch=batch)


@pytest.mark.parametrize(
    ("feeds", "steps", "dump", "said"),
    [
        ((), 3, (), "nothing is"),
        (("stateN",), 3, (), "not OUTPUT=INPUT"),
        (("stateN=state",), 3, (), "no array for the input 'x'"),
        (("stateN=state",), 3, ("halved",), "'halved' is not an output"),
        (("y=stat",), 3, (), "no input 'stat'. Did you mean state"),
    ],
)
@pytest.mark.parametrize("of_bundle", [False, True], ids=["source", "bundle"])
def test_steps_that_cannot_be_are_refused(
    tmp_path: Path,
    source: Path,
    bundles: dict[str, Bundle],
    feeds: tuple[str, ...],
    steps: int,
    dump: tuple[str, ...],
    said: str,
    of_bundle: bool,
) -> None:
    np.savez(tmp_path / "z.npz", z=np.zeros(1, dtype=np.float32))
    what = bundles[GENERAL_RUNTIME].folder if of_bundle else source
    words = [str(tmp_path / "z.npz")]
    with pytest.raises(UsageError, match=said):
        run_anywhere(what, words, None, feed_back=feeds, steps=steps, dump=dump)


def test_a_cache_grows_where_its_axis_is_open_and_is_refused_elsewhere(
    board: Session, tmp_path: Path
) -> None:
    path = save(growing(), tmp_path / "growing.onnx")
    options = BundleOptions(runtime=GENERAL_RUNTIME, input_shapes=("cache:1x{1..64}x4",))
    bundle = make_bundle(path, tmp_path / "open", options)
    x = np.random.default_rng(1).random((20, 1, 1, 4), dtype=np.float32)
    found = run_model(board, bundle, {"x": x}, feed_back=["cacheN=cache"])
    np.testing.assert_allclose(found["y"][:, 0], np.cumsum(x[:, 0, 0], axis=0), atol=1e-4)
    assert found["cacheN"].shape == (1, 1, 21, 4)
    # The first step takes 1, and the 64th the 64 that there may be at most.
    longer = np.zeros((65, 1, 1, 4), dtype=np.float32)
    said = r"'cache' grows by 1 along axis 1.*may be 64 at most.*room for 64 steps, and 65"
    assert len(run_model(board, bundle, {"x": longer[:64]}, feed_back=["cacheN=cache"])["y"]) == 64
    with pytest.raises(UsageError, match=said):
        run_model(board, bundle, {"x": longer}, feed_back=["cacheN=cache"])
    given = {"x": longer[:3], "cache": np.zeros((1, 63, 4), dtype=np.float32)}
    with pytest.raises(UsageError, match="room for 2 steps, and 3"):
        run_model(board, bundle, given, feed_back=["cacheN=cache"])
    np.savez(tmp_path / "longer.npz", x=longer)
    words = [str(tmp_path / "longer.npz"), "cache:1x{1..64}x4"]
    with pytest.raises(UsageError, match=r"'cacheN' \(1x65x4\) has grown beyond the 64"):
        run_anywhere(path, words, None, feed_back=["cacheN=cache"])
    with board.loaded(bundle, feed_back=["cacheN=cache"]) as loaded:
        loaded({"x": longer[0], "cache": np.zeros((1, 64, 4), dtype=np.float32)})
        with pytest.raises(UsageError, match="room for 1 steps, and 2"):
            loaded({"x": longer[0]})
    feeds = parse_feed_back(["cacheN=cache"])
    for plan in (BenchPlan(feed_back=feeds), BenchPlan(iterations=0, seconds=1, feed_back=feeds)):
        with pytest.raises(UsageError, match="'cache' grows by 1"):
            BenchJob(bundle=bundle, plan=plan)
    fixed = make_bundle(path, tmp_path / "fixed", replace(options, input_shapes=("cache:1x5x4",)))
    with pytest.raises(UsageError, match=r"'cacheN' \(1x6x4 float32\).*'cache' \(1x5x4 float32\)"):
        run_model(board, fixed, {"x": x}, feed_back=["cacheN=cache"])


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("runtime", ON_PROCESSORS)
def test_a_stream_that_is_cancelled_leaves_the_board_usable(
    board: Session, bundles: dict[str, Bundle], runtime: str
) -> None:
    told: list[Any] = []

    def stop(event: Any) -> None:
        told.append(event)
        if isinstance(event, Runs) and event.done == 50:
            raise StoppedError

    inputs = {"x": np.ones((1, _SIZE), dtype=np.float32)}
    with pytest.raises(StoppedError):
        run_model(
            replace(board, progress=stop), bundles[runtime], inputs, feed_back=_FEED, steps=100_000
        )
    assert [event.done for event in told if isinstance(event, Runs)] == list(range(1, 51))
    found = run_model(board, bundles[runtime], inputs, feed_back=_FEED, steps=3)
    assert found["y"][:, 0, 0].tolist() == [2.0, 3.0, 3.5]


@pytest.mark.parametrize("runtime", ON_PROCESSORS)
def test_a_worker_that_dies_in_mid_stream_is_an_error_and_the_next_stream_runs(
    board: Session, bundles: dict[str, Bundle], runtime: str
) -> None:
    before = set(children(board.agent_pid))

    def kill(event: Any) -> None:
        if isinstance(event, Runs) and event.done == 30:
            (worker,) = set(children(board.agent_pid)) - before
            os.kill(worker, signal.SIGKILL)

    inputs = {"x": np.ones((1, _SIZE), dtype=np.float32)}
    with pytest.raises(AgentError, match="killed"):
        run_model(
            replace(board, progress=kill), bundles[runtime], inputs, feed_back=_FEED, steps=100_000
        )
    found = run_model(board, bundles[runtime], inputs, feed_back=_FEED, steps=3)
    assert found["y"][:, 0, 0].tolist() == [2.0, 3.0, 3.5]


@pytest.mark.parametrize("runtime", ON_PROCESSORS)
def test_a_loaded_model_takes_calls_with_one_worker(
    board: Session, bundles: dict[str, Bundle], runtime: str
) -> None:
    before = set(children(board.agent_pid))
    with board.loaded(bundles[runtime]) as loaded:
        (worker,) = set(children(board.agent_pid)) - before
        for x in noise(50):
            state = np.ones((1, _SIZE), dtype=np.float32)
            found = loaded({"x": x, "state": state})
            np.testing.assert_allclose(found["stateN"], x + 0.5, atol=1e-6)
        # Several samples go ahead together, and come back along their axis.
        several = {"x": noise(5)[:, 0], "state": np.zeros((5, _SIZE), dtype=np.float32)}
        np.testing.assert_allclose(loaded(several)["y"], 2 * noise(5)[:, 0], atol=1e-6)
        with pytest.raises(UsageError, match="float64"):
            loaded({"x": np.zeros((1, _SIZE)), "state": state})
        np.testing.assert_allclose(loaded({"x": x, "state": state})["stateN"], x + 0.5, atol=1e-6)
        assert set(children(board.agent_pid)) - before == {worker}
    assert worker not in children(board.agent_pid)


@pytest.mark.parametrize("runtime", ON_PROCESSORS)
def test_calls_of_a_loaded_model_are_steps_where_outputs_are_fed_back(
    board: Session, bundles: dict[str, Bundle], runtime: str
) -> None:
    x = noise(40)
    ones = np.ones((1, _SIZE), dtype=np.float32)
    with board.loaded(bundles[runtime], feed_back=_FEED) as step:
        found = [step({"x": part}) for part in x]
        assert all(list(each) == ["y"] for each in found)
        outputs = np.concatenate([each["y"] for each in found])
        np.testing.assert_allclose(outputs, 2 * closed_form(x), atol=1e-5)
        assert step({"x": ones, "state": 4 * ones})["y"].tolist() == (6 * ones).tolist()
        assert step({})["y"].tolist() == (5 * ones).tolist()
        step.reset()
        assert step({"x": ones})["y"].tolist() == (2 * ones).tolist()


def test_a_stream_that_failed_says_that_its_state_is_gone(
    board: Session, bundles: dict[str, Bundle]
) -> None:
    before = set(children(board.agent_pid))
    x = np.ones((1, _SIZE), dtype=np.float32)
    with (
        pytest.raises(AgentError, match="is gone"),
        board.loaded(bundles[GENERAL_RUNTIME], feed_back=_FEED) as step,
    ):
        step({"x": x})
        (worker,) = set(children(board.agent_pid)) - before
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(AgentError, match="killed"):
            step({"x": x})
        with pytest.raises(UsageError, match="went the state"):
            step({"x": x})
        step.reset()
        step({"x": x})  # its worker is as dead as before
