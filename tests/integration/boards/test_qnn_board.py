"""QNN's worker on this computer as a board, where Qualcomm's emulator computes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from rich.console import Console

from deployx_edge.bundle import Bundle, write_bundle
from deployx_edge.device import Device
from deployx_edge.errors import RuntimeRefusedError, UsageError
from deployx_edge.measurement.statistics import samples_per_second
from deployx_edge.measurement.values import BenchPlan, RunOptions, WorkerLimits
from deployx_edge.report.profile import profile_report, profile_rows
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.boards.session import Session, open_session
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.measure.bench import bench, profile
from deployx_edge.workflows.measure.run import run, run_bundle_here
from tests.integration.models.onnx_kinds import KINDS
from tests.integration.models.onnx_models import model, save, weights
from tests.integration.test_examples import ROOT, deployx
from tests.runtimes import missing
from tests.sampling import sampled

pytestmark = pytest.mark.skipif(bool(missing("qnn")), reason=missing("qnn"))
DIGITS = ROOT / "examples" / "digits" / "digits_cnn.onnx"
TEST_DATA = DIGITS.with_name("digits_test.npz")
QNN = BundleOptions(runtime="qnn")


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with open_session(Device(name="here", uri="local:")) as opened:
        yield opened


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    options = replace(QNN, precision="fp16")
    return make_bundle(DIGITS, tmp_path_factory.mktemp("halves") / "b", options)


@pytest.fixture(scope="module")
def int8_kind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(KINDS["int8"].make(), tmp_path_factory.mktemp("int8") / "int8.onnx")


def leaving_model() -> onnx.ModelProto:
    """A convolution and a node that no HTP runs."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "conv", pads=[1] * 4),
        helper.make_node("Det", ["a"], ["d"], "determinant"),
        helper.make_node("Relu", ["a"], ["y"], "cut"),
    ]
    shapes = {"x": (1, 3, 8, 8)}, {"d": (1, 4), "y": (1, 4, 8, 8)}
    return model(nodes, *shapes, [weights("w", 4, 3, 3, 3)])


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """qnn's converter refuses it, another's does not, and nothing in it says so."""
    path = save(leaving_model(), tmp_path_factory.mktemp("refused") / "refused.onnx")
    bundle = make_bundle(path, options=BundleOptions(runtime="onnxruntime"))
    return replace(bundle, runtime="qnn")


def test_accuracy_by_the_emulator_is_marked_and_has_no_rate(halves: Bundle) -> None:
    words = ("--dataset", TEST_DATA, "--reference", DIGITS, "--limit", "20", "--json")
    done = deployx("evaluate", halves.folder, "--device", "local:", *words)
    found = json.loads(done.stdout)
    (place,) = found["places"]
    assert place["place"] == "local: (emulated)"
    assert place["samples_per_second"] is None
    assert place["precision"] == "fp16"
    assert place["agreement"] == 1.0


RAN = "The processor, not the accelerator, ran determinant."
LEFT = "Det (node 'determinant')"
ALLOW, FAIL = "--allow-fallback", "--fail-on-fallback"
HERE = ("--device", "local:")
BENCH = (*HERE, "--iterations", "1")
DATA = ("--dataset", "data.npz", "--metric", "mse", "--output", "y")
# Commands, where a word in capitals is the model in one of its forms and an .npz lies beside it;
# with the exit code, and what names the node.
SAYING = [
    (("bench", "BUNDLE", *BENCH, ALLOW), 0, RAN),
    (("profile", "BUNDLE", *BENCH, ALLOW), 0, "determinant"),
    (("push-and-bench", "SOURCE", "--runtime", "qnn", *BENCH, ALLOW), 0, RAN),
    (("evaluate", "BUNDLE", *DATA, ALLOW), 0, RAN),
    (("evaluate", "SOURCE", "--runtime", "qnn", *DATA, *HERE, ALLOW), 0, RAN),
    (("run", "BUNDLE", "-i", "data.npz", ALLOW), 0, RAN),
    (("run", "SOURCE", "--runtime", "qnn", "-i", "data.npz", *HERE, ALLOW), 0, RAN),
    (("compare", "SOURCE", "BUNDLE", *HERE), 0, RAN),
    (("push-and-bench", "SOURCE", "--runtime", "qnn", *BENCH), 10, LEFT),
    *(
        ((*words, *flag), 17, LEFT)
        for words in (
            ("push-and-bench", "BUNDLE", *BENCH),
            ("evaluate", "BUNDLE", *DATA),
            ("evaluate", "BUNDLE", *DATA, *HERE),
            ("profile", "BUNDLE", *BENCH),
        )
        for flag in ((), (FAIL,))
    ),
    (("run", "BUNDLE", "-i", "data.npz"), 17, LEFT),
    (("push-and-bench", "SOURCE", "--runtime", "qnn", *BENCH, FAIL), 17, LEFT),
    (("evaluate", "SOURCE", "--runtime", "qnn", *DATA, FAIL), 17, LEFT),
    (("profile", "BUNDLE", *BENCH, ALLOW, FAIL), 2, f"{FAIL} and {ALLOW} contradict"),
]
# What a table's own words would hide is told in JSON too.
TOLD_IN_JSON = [each for each in SAYING if each[1] == 0]


@pytest.fixture(scope="module")
def leaving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of which QNN leaves a node, its bundle, and data for it."""
    folder = tmp_path_factory.mktemp("leaving")
    source = save(leaving_model(), folder / "leaving.onnx")
    make_bundle(source, folder / "bundle", replace(QNN, allow_fallback=True))
    data = np.random.default_rng(0).random((2, 3, 8, 8), dtype=np.float32)
    runs = [Reference(read_onnx(source, {})).run({"x": each[None]}) for each in data]
    target = np.concatenate([run["y"] for run in runs])
    np.savez(folder / "data.npz", x=data, **{"target:y": target})
    return folder


def test_each_command_names_the_nodes_it_allows_or_ends_for(
    leaving: Path, request: pytest.FixtureRequest
) -> None:
    """Before this module's session has the board."""
    places = {"BUNDLE": "bundle", "SOURCE": "leaving.onnx", "data.npz": "data.npz"}
    for words, code, told in sampled(SAYING, request.config, 1):
        done = deployx(*(leaving / places[w] if w in places else w for w in words), code=code)
        assert told in " ".join((done.stderr if code else done.stdout).split()), words
    for words, _, told in sampled(TOLD_IN_JSON, request.config, 1):
        done = deployx(*(leaving / places[w] if w in places else w for w in words), "--json")
        assert told in texts_in(json.loads(done.stdout)), words


def texts_in(document: object) -> str:
    """All texts of a document."""
    if isinstance(document, dict):
        return " ".join(map(texts_in, document.values()))
    return " ".join(map(texts_in, document)) if isinstance(document, list) else str(document)


def test_a_profile_has_the_cycles_of_each_node(session: Session, halves: Bundle) -> None:
    found = profile(session, halves, warmup=0, iterations=3)
    whole, *parts = found.profile.layers
    assert (len(whole.samples_ns), whole.samples_cycles, whole.unit) == (3, (), "NPU")
    assert {(len(e.samples_cycles), e.samples_ns, e.unit) for e in parts} == {(3, (), "NPU")}
    graph = onnx.load(halves.path("onnx")).graph
    layers = {e.name for e in graph.node if e.op_type in ("Conv", "Gemm")}
    assert layers <= {e.node for e in parts}
    assert {e.type for e in parts if e.node in layers} == {"Conv", "Gemm"}
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(profile_report(found))
    said = "cycles are those that Qualcomm's HTP emulator counts, no NPU's"
    assert said in console.export_text()
    shares = [row.share for row in profile_rows(found) if row.cycles is not None]
    assert sum(shares) == pytest.approx(1)
    # A layer of several samples is counted over all of them, and nothing is left behind.
    (benched,) = bench(session, halves, plan=BenchPlan(warmup=0, iterations=1), batch=2)
    assert [(unit.unit, unit.layers) for unit in benched.bench.units] == [("NPU", 1)]


def test_a_bench_is_emulated_and_has_no_rate(session: Session, halves: Bundle) -> None:
    options = RunOptions(
        named=(
            ("htp_performance_mode", "burst"),
            ("vtcm_mb", "2"),
            ("htp_graph_finalization_optimization_mode", "1"),
        )
    )
    (result,) = bench(session, halves, options=[options], plan=BenchPlan(warmup=0, iterations=3))
    assert not session.identity.board.emulated
    assert result.device.board.emulated
    assert result.device.board.emulated_reason == "Qualcomm's HTP emulator"
    assert samples_per_second(result) is None
    assert len(result.bench.samples_ns) == 3
    assert result.load.runtime_version == "2.7.0"
    # What the NPU computes in is not told, and nothing is made up.
    assert result.bench.precisions == ()


def test_the_graph_is_made_once_for_each_chip_and_options(tmp_path: Path, int8_kind: Path) -> None:
    """In a work folder of its own: what is prepared is kept, and loaded again by later sessions."""
    work = tmp_path / "work"
    board = Device(name="board", uri="local:", work_folder=str(work))
    first, second = (
        make_bundle(int8_kind, tmp_path / soc, replace(QNN, soc=soc))
        for soc in ("sm8550", "sm8650")
    )
    given = {"x": np.random.default_rng(0).random((1, 3, 8, 8), dtype=np.float32)}
    wanted = run_bundle_here(first, given)

    def kept(bundle: Bundle, **named: str) -> int:
        with open_session(board) as session:
            found = run(session, bundle, given, options=RunOptions(named=tuple(named.items())))
        np.testing.assert_array_equal(found["y"], wanted["y"])
        return len(list((work / "prepared").iterdir()))

    assert [kept(first), kept(first), kept(second), kept(first, vtcm_mb="2")] == [1, 1, 2, 3]


def test_a_graph_that_was_made_on_the_host_is_loaded_as_it_is(
    tmp_path: Path, int8_kind: Path
) -> None:
    """Unless options are asked for that the graph was not made with."""
    work = tmp_path / "work"
    board = Device(name="board", uri="local:", work_folder=str(work))
    bundle = make_bundle(int8_kind, tmp_path / "b", replace(QNN, soc="sm8650"))
    given = {"x": np.random.default_rng(0).random((1, 3, 8, 8), dtype=np.float32)}
    wanted = run_bundle_here(bundle, given)
    context = bundle.path("context").read_bytes()
    for named, made in ((("htp_performance_mode", "burst"), 1), (("vtcm_mb", "2"), 2)):
        with open_session(board) as session:
            found = run(session, bundle, given, options=RunOptions(named=(named,)))
        np.testing.assert_array_equal(found["y"], wanted["y"])
        kept = [path.read_bytes() for path in (work / "prepared").iterdir()]
        assert (len(kept), kept.count(context)) == (made, 1)


def test_a_graph_for_another_chip_is_refused_with_both_named(
    session: Session, tmp_path: Path, int8_kind: Path
) -> None:
    chips = ("sm8550", "sm8650")
    bundle, other = (make_bundle(int8_kind, tmp_path / c, replace(QNN, soc=c)) for c in chips)
    files = {file.path: bundle.path(file.role) for file in bundle.files}
    files[bundle.file("context").path] = other.path("context")
    taken = replace(other.file("context"), path=bundle.file("context").path)
    mixed = replace(bundle, files=(bundle.file("onnx"), taken))
    mixed = write_bundle(mixed, files, tmp_path / "mixed")
    given = {"x": np.zeros((1, 3, 8, 8), np.float32)}
    with pytest.raises(RuntimeRefusedError, match=r"is for sm8650, the model for sm8550"):
        run(session, mixed, given)
    assert run(session, bundle, given)["y"].shape == (1, 8, 8, 8)


def test_what_prepares_goes_to_the_board_where_it_is_to_prepare(
    tmp_path: Path, int8_kind: Path
) -> None:
    """On x86-64 no library does; one of that name is in the build here."""
    name = "libQnnHtpPrepare.so"
    board = Device(name="board", uri="local:", work_folder=str(tmp_path / "work"))
    chip = replace(QNN, soc="sm8650", verify=False)
    bundle = make_bundle(int8_kind, tmp_path / "b", chip)
    plain = make_bundle(int8_kind, tmp_path / "plain", replace(QNN, verify=False))
    given = {"x": np.random.default_rng(0).random((1, 3, 8, 8), dtype=np.float32)}
    with open_session(board) as session:
        folder = tmp_path / "build"
        shutil.copytree(session.build.folder, folder, copy_function=os.symlink)
        (folder / name).write_bytes(b"prepares")
        sha256 = hashlib.sha256(b"prepares").hexdigest()
        like = session.build.libraries("qnn")[0]
        library = replace(like, name=name, sha256=sha256, size_bytes=8)
        build = replace(session.build, folder=folder, files=(*session.build.files, library))
        session = replace(session, build=build)
        store = tmp_path / "work" / "store"
        session.push(bundle)
        run(session, bundle, given)
        assert not (store / sha256).exists()
        session.push(plain)
        assert (store / sha256).exists()
        (store / sha256).unlink()
        # Pushed without; an option has the board prepare it anew.
        run(session, bundle, given, options=RunOptions(named=(("vtcm_mb", "2"),)))
        assert (store / sha256).exists()


def test_an_option_that_it_has_not_is_refused(session: Session, halves: Bundle) -> None:
    session.push(halves)
    for named in (("htp_performance_mode", "fastest"), ("vtcm_mb", "0"), ("spinning", "on")):
        with pytest.raises(UsageError, match=named[0]):
            session.load(halves, RunOptions(named=(named,)), WorkerLimits())


def test_the_board_gives_what_this_computer_gives(
    session: Session, halves: Bundle, int8_kind: Path, tmp_path: Path
) -> None:
    int8 = make_bundle(int8_kind, tmp_path / "b", QNN)
    for bundle in (int8, halves):
        generator = np.random.default_rng(0)
        given = {
            spec.name: generator.random(spec.shape, dtype=np.float32) for spec in bundle.inputs
        }
        found, wanted = run(session, bundle, given), run_bundle_here(bundle, given)
        for name, array in wanted.items():
            np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(("number", "runs"), [("43", True), ("93", False)])
def test_the_emulator_plays_the_chip_that_the_file_names(
    session: Session, tmp_path: Path, number: str, runs: bool
) -> None:
    """Of these, SM8550 has half floats and QCS6490 none."""
    made = onnx.load(DIGITS)
    made.metadata_props.add(key="deployx.soc_number", value=number)
    path = save(made, tmp_path / "digits.onnx")
    bundle = make_bundle(path, tmp_path / "b", BundleOptions(runtime="onnxruntime"))
    bundle = replace(bundle, runtime="qnn")
    image = {"image": np.zeros((1, 1, 8, 8), np.float32)}
    if runs:
        assert run(session, bundle, image)["scores"].shape == (1, 10)
        return
    with pytest.raises(RuntimeRefusedError, match=r"(does not run|refused) the model"):
        run(session, bundle, image)


def test_nodes_that_would_run_on_the_processor_are_refused_or_shown(
    session: Session, refused: Bundle
) -> None:
    with pytest.raises(
        RuntimeRefusedError, match=r"leaves to the processor: Det \(node 'determinant'\)"
    ):
        bench(session, refused, plan=BenchPlan(warmup=0, iterations=1))
    allowed = RunOptions(named=(("allow_fallback", "on"),))
    found = profile(session, refused, options=allowed, warmup=0, iterations=1)
    layers = found.profile.layers
    assert [(e.name, e.type) for e in layers if e.unit == "CPU"] == [("determinant", "Det")]
    assert {e.unit for e in layers} == {"CPU", "NPU"}
    # On the NPU they are parts of one layer, which are counted in cycles and not timed.
    parts = {e.node: e.samples_ns for e in layers if e.samples_cycles}
    assert (parts["conv"], parts["cut"]) == ((), ())
    assert all(len(e.samples_ns) == 1 for e in layers if not e.samples_cycles)
    assert found.fell_back == "The processor, not the accelerator, ran determinant."
    (benched,) = bench(session, refused, options=[allowed], plan=BenchPlan(warmup=0, iterations=1))
    assert benched.fell_back == found.fell_back
    assert benched.bench.precisions == ()
