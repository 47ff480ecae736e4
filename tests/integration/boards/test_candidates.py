"""Several runtimes of one model in turn on real boards, and one table of them."""

import json
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image

from deployx_edge.device import Device
from deployx_edge.errors import ModelError, UnfitDeviceError, UsageError
from deployx_edge.measurement.standings import rounds_for, standings
from deployx_edge.measurement.values import BenchPlan, RunOptions
from deployx_edge.workflows.boards.crash_log import Watch
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.choose.candidates import MADE_UP_NOTE, Wanted, make_candidates
from deployx_edge.workflows.choose.inputs import source_side
from deployx_edge.workflows.choose.source_error import SourceErrors, error_of
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.measure.bench import BenchJob, bench_device, push_all
from deployx_edge.workflows.measure.jobs import Candidate
from deployx_edge.workflows.measure.rounds import bench_rounds, rows_of
from tests.integration.models.onnx_kinds import KINDS
from tests.integration.models.onnx_models import model, save, small_cnn, weights
from tests.integration.test_cli import DIGITS, deployx, document

BOTH = ("ncnn", "onnxruntime")
SINGLE = RunOptions(threads=1)
SHORT = BenchPlan(warmup=1, iterations=0, seconds=0.01, repeats=rounds_for(2))


@pytest.fixture
def local(tmp_path):
    return Device(name="here", uri="local:", work_folder=str(tmp_path / "work"))


def of(bundle, **options):
    return Candidate(bundle=bundle, options=replace(SINGLE, **options))


def copied(bundle, folder):
    """The same once more: a candidate that is as good."""
    return make_bundle(bundle.folder, folder)


def test_candidates_run_in_turn_there_and_back(local, digits):
    """The order of worker processes, as they are started on the board."""
    started = []

    @contextmanager
    def watch(candidate):
        started.append(f"{candidate.bundle.runtime} {candidate.options.precision}")
        yield Watch()

    other = make_bundle(Path(DIGITS), options=BundleOptions(runtime="onnxruntime"))
    group = (of(digits), of(other), of(digits, precision="fp16"))
    job = BenchJob(candidates=group, plan=replace(SHORT, repeats=4, seconds=0.01), link=False)
    with open_session(local) as session:
        pushes = {each.bundle.folder: session.push(each.bundle) for each in group}
        turns = bench_rounds(session, job, group, pushes, watch)
    there = ["ncnn fp32", "onnxruntime fp32", "ncnn fp16"]
    assert started[:12] == [*there, *there[::-1], *there, *there[::-1]]
    assert set(Counter(started).values()) == {len(started) // 3}
    assert {len(result.loads_ns) for result in turns.results} == {len(started) // 3}
    assert {len(result.bench.peaks_bytes) for result in turns.results} == {len(started) // 3}


def test_threads_are_groups_of_their_own(digits):
    options = [replace(SINGLE, threads=count) for count in (1, 2)]
    candidates = [Candidate(bundle=digits, options=each) for each in options]
    candidates += [replace(c, options=replace(c.options, precision="fp16")) for c in candidates]
    groups = BenchJob(candidates=candidates).groups
    assert [[each.options.threads for each in group] for group in groups] == [[1, 1], [2, 2]]


def test_against_is_a_group_of_two(digits):
    (group,) = BenchJob(bundle=digits, against=digits).groups
    assert [each.baseline for each in group] == [False, True]
    for words in ({}, {"bundle": digits, "candidates": [of(digits)]}):
        with pytest.raises(UsageError):
            BenchJob(**words)


def test_equal_candidates_are_not_ranked_on_this_computer(local, digits, tmp_path):
    """Each time with a chance of a third of a percent to be wrong: twice in three is none."""
    twin = copied(digits, tmp_path / "twin")
    ranked = 0
    for _ in range(3):
        job = BenchJob(candidates=[of(digits), of(twin)], plan=SHORT, link=False)
        results, failures = bench_device(local, job)
        assert not failures
        (found,) = [s for s in standings(rows_of(results)) if s.measure == "latency"]
        ranked += found.told
    assert ranked <= 1


def test_a_much_slower_candidate_is_told(local, digits, tmp_path):
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"])]
    made = model(nodes, {"x": [1, 2000]}, {"y": [1, 3000]}, [weights("w", 2000, 3000, seed=1)])
    slow = make_bundle(save(made, tmp_path / "slow.onnx"))
    job = BenchJob(candidates=[of(slow), of(digits)], plan=SHORT, link=False)
    results, _ = bench_device(local, job)
    # Two models are no candidates of one; here the one stands for a slower form of the other.
    rows = rows_of(replace(r, model=replace(r.model, inputs=())) for r in results)
    (found,) = [s for s in standings(rows) if s.measure == "latency"]
    assert found.told and found.best == (1,)


def test_a_candidate_that_fails_leaves_its_group_and_the_rest_goes_on(local, digits):
    broken = of(digits, precision="fp16", accelerator="vulkan")
    group = [of(digits), broken]
    plan = replace(SHORT, repeats=2)
    results, (failure,) = bench_device(local, BenchJob(candidates=group, plan=plan, link=False))
    assert (failure.runtime, failure.options.precision) == ("ncnn", "fp16")
    assert "vulkan" in failure.error.message
    assert [result.options.precision for result in results] == ["fp32"]
    assert len(results[0].bench.run_lengths) == 2


def test_what_the_board_cannot_run_is_a_failure_of_it_alone(local, digits):
    """A C library that is too old for one of the workers."""
    other = make_bundle(Path(DIGITS), options=BundleOptions(runtime="onnxruntime"))
    job = BenchJob(candidates=[of(digits), of(other)])
    with open_session(local) as session:
        board = replace(session.identity.board, libc="glibc 2.17")
        old = replace(session, identity=replace(session.identity, board=board))
        pushes, refused = push_all(old, job)
        assert list(pushes) == [digits.folder] and list(refused) == [other.folder]
        assert isinstance(refused[other.folder], UnfitDeviceError)
        assert "the board has 2.17" in refused[other.folder].message
        with pytest.raises(UnfitDeviceError, match=r"the board has 2\.17"):
            push_all(old, replace(job, candidates=[of(other)]))


def test_what_one_runtime_refuses_is_kept_with_its_words(tmp_path):
    path = save(KINDS["transformer"].make(), tmp_path / "transformer.onnx")
    wanted = Wanted(model=path, runtimes=BOTH, precisions=("fp32", "bf16"))
    candidates, refused = make_candidates(wanted, tmp_path)
    assert [(c.bundle.runtime, c.options.precision) for c in candidates] == [
        ("onnxruntime", "fp32")
    ]
    assert [(r.runtime, r.precision) for r in refused] == [
        *(("ncnn", precision) for precision in ("fp32", "bf16")),
        ("onnxruntime", "bf16"),
    ]
    assert "bf16 is not available for onnxruntime" in refused[2].error.message
    with pytest.raises(type(refused[0].error)) as alone:
        make_bundle(path)
    assert refused[0].error.message == alone.value.message


def test_where_none_supports_the_model_one_error_names_each(tmp_path):
    path = save(KINDS["transformer"].make(), tmp_path / "transformer.onnx")
    wanted = Wanted(model=path, runtimes=BOTH, precisions=("bf16",))
    with pytest.raises(ModelError, match="No runtime of those asked for") as error:
        make_candidates(wanted, tmp_path)
    for expected in ("ncnn in bf16: ", "onnxruntime in bf16: bf16 is not available"):
        assert expected in error.value.message
    # What is wrong with the model itself is said once.
    with pytest.raises(UsageError, match=r"missing\.onnx") as error:
        make_candidates(replace(wanted, model=tmp_path / "missing.onnx"), tmp_path)
    assert "No runtime" not in error.value.message
    with pytest.raises(UsageError, match="There is no runtime 'tensorlight'"):
        make_candidates(replace(wanted, runtimes=("ncnn", "tensorlight")), tmp_path)


def test_a_bundle_is_one_candidate_and_no_other_runtimes(tmp_path, digits):
    wanted = Wanted(model=digits.folder, runtimes=BOTH, precisions=("fp32", "fp16"))
    candidates, refused = make_candidates(wanted, tmp_path)
    assert [c.options.precision for c in candidates] == ["fp32", "fp16"]
    assert {r.runtime for r in refused} == {"onnxruntime"}
    assert "bundle for ncnn" in refused[0].error.message


def test_an_option_goes_to_the_runtimes_that_have_it(tmp_path):
    named = (("arena", "off"),)
    wanted = Wanted(
        model=Path(DIGITS),
        runtimes=BOTH,
        precisions=("fp32",),
        options=(replace(SINGLE, named=named),),
    )
    candidates, _ = make_candidates(wanted, tmp_path)
    assert [candidate.options.named for candidate in candidates] == [(), named]
    with pytest.raises(UsageError, match="arena"):
        make_candidates(replace(wanted, runtimes=("ncnn",)), tmp_path)


def test_the_error_is_what_the_board_computes(local, digits, tmp_path):
    """That of fp32 within rounding, of fp16 as coarse as fp16; of made-up scales none."""
    path = save(small_cnn(), tmp_path / "cnn.onnx")
    wanted = Wanted(model=path, runtimes=BOTH, precisions=("fp32", "fp16"), options=(SINGLE,))
    candidates, refused = make_candidates(wanted, tmp_path)
    assert not refused
    untold = replace(candidates[0], options=replace(SINGLE, cores="all"), is_told_by_outputs=False)
    side = source_side(path, BundleOptions(), None, None, lambda event: None)
    errors = SourceErrors(side=side)
    plan = BenchPlan(warmup=0, iterations=1)
    for group in (candidates, [untold]):
        job = BenchJob(candidates=group, plan=plan, link=False, look=errors.look)
        if group is not candidates:
            before = dict(errors.found)
        assert not bench_device(local, job)[1]
    assert errors.found == before and len(before) == 4
    for (_, _, options), found in errors.found.items():
        assert len(found.by_input) == 12
        assert found.relative < 1e-4 if options.precision == "fp32" else found.relative < 2e-2
    assert any(found.relative > 1e-4 for found in errors.found.values())


def test_the_error_of_several_outputs_is_the_worst_ones():
    generator = np.random.default_rng(0)
    wanted = [{n: generator.standard_normal((1, 8)) for n in "ab"} for _ in range(4)]
    found = [{"a": each["a"], "b": each["b"] + 0.5} for each in wanted]
    error = error_of(wanted, found)
    assert error.output == "b" and 0.3 < error.relative < 0.9
    assert len(error.by_input) == 4 and max(error.by_input) == pytest.approx(min(error.by_input))
    assert error_of(wanted, wanted).relative == 0.0
    broken = [{**each, "b": each["b"] * np.nan} for each in wanted]
    assert error_of(wanted, broken).relative > 1e6


WORDS = ("--runtime", "ncnn,onnxruntime", "--threads", 1, "--no-link")


def test_one_command_ends_in_one_table(tmp_path):
    """int8 whose scales are made up: its time counts, and the table says that the rest does not."""
    words = ["bench", DIGITS, "-d", "local:", *WORDS, "--precision", "fp32,int8,bf16"]
    done = deployx(
        *words, "--repeat", 1, "-n", 3, "--output", "r.json", "--export", "t.png", cwd=tmp_path
    )
    written = json.loads((tmp_path / "r.json").read_text())["table"]
    told = {(row["runtime"], row["precision"]): row for row in written["rows"]}
    assert len(told) == 6
    assert [key for key, row in told.items() if not row["supported"]] == [("onnxruntime", "bf16")]
    for (runtime, precision), row in told.items():
        assert runtime in done.stdout
        if precision == "int8":
            assert row["error"] is None and MADE_UP_NOTE in row["notes"]
        elif row["supported"]:
            assert row["error"]["relative"] < (1e-4 if precision == "fp32" else 0.1)
        if row["supported"]:
            assert row["latency_ns"] > 0 and row["size_bytes"] > 0 and row["load_ns"] > 0
    assert "no: bf16 is not available for onnxruntime" in " ".join(done.stdout.split())
    assert "no best latency (1 thread on local:)" in done.stdout and "--repeat" in done.stdout
    assert "\nbest size (1 thread on local:): ncnn int8" in done.stdout
    with Image.open(tmp_path / "t.png") as drawn:
        assert drawn.width > 500


def test_data_gives_errors_and_accuracies_to_every_row(tmp_path):
    data = Path(DIGITS).parent
    found = document(
        *("push-and-bench", DIGITS, "-d", "local:", "--runtime", "onnxruntime"),
        *(
            "--threads",
            1,
            "--precision",
            "fp32,int8",
            "-n",
            1,
            "--calibration",
            data / "digits_calibration.npz",
        ),
        *("--dataset", data / "digits_test.npz", "--top", 1),
        cwd=tmp_path,
    )["table"]
    assert found["error_inputs"] == "12 samples of digits_test.npz"
    assert found["source_accuracy"]["metric"] == "top1"
    assert len(found["rows"]) == 2
    for row in found["rows"]:
        assert row["accuracy"]["value"] > 0.94
        assert row["accuracy"]["low"] < row["accuracy"]["value"] < row["accuracy"]["high"]
        assert row["error"]["relative"] < (1e-4 if row["precision"] == "fp32" else 0.2)
    assert {s["measure"] for s in found["standings"]} >= {"latency", "size", "error", "accuracy"}


def test_none_supports_is_one_sentence_with_its_exit_code(tmp_path):
    onnx.save(KINDS["transformer"].make(), tmp_path / "t.onnx")
    failed = deployx(
        *("bench", "t.onnx", "-d", "local:", *WORDS, "--precision", "bf16"), cwd=tmp_path, code=10
    )
    last = failed.stderr.strip().splitlines()[-1]
    assert last.startswith("error: No runtime of those asked for supports t.onnx.")
    assert failed.stdout == ""


def test_profiles_of_several_runtimes_stand_side_by_side(tmp_path):
    onnx.save(KINDS["transformer"].make(), tmp_path / "t.onnx")
    words = ["profile", "-d", "local:", "--threads", 1, "-n", 3, "--runtime", "ncnn,onnxruntime"]
    found = document(*words, DIGITS, cwd=tmp_path)
    both = [found["result"], *found["against"]]
    assert [each["model"]["runtime"] for each in both] == ["ncnn", "onnxruntime"]
    assert all(each["profile"]["layers"] for each in both) and found["refused"] == []
    done = deployx(*words, "t.onnx", cwd=tmp_path)
    assert "ncnn: no: " in done.stdout
    refused = deployx(*words, DIGITS, "--against", DIGITS, cwd=tmp_path, code=2)
    assert "several runtimes" in refused.stderr
