"""What is compared with what, and what is said of it."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from deployx_edge.cli.bench_comparison import check_comparison, judge
from deployx_edge.errors import SlowdownError, UndecidedError, UsageError
from deployx_edge.measurement.comparisons import beyond, compare_in_turn, compare_with_earlier
from deployx_edge.measurement.configurations import Configuration, differences
from deployx_edge.measurement.files import bench_document, read_runs, runs_of, write_document
from deployx_edge.measurement.values import RunOptions
from tests.unit.report.results import result

STEADY = tuple(2_000_000 + 1000 * (i % 4) for i in range(20))


def repeated(factor=1.0, *, spread=0.0, repeats=10, **changes):
    """``repeats`` runs of two samples; ``spread`` alternates between them."""
    samples = [
        round(factor * value * (1 + spread * (i // 2 % 2))) for i, value in enumerate(STEADY)
    ][: 2 * repeats]
    return result(samples=samples, lengths=(2,) * repeats, **changes)


def runs(*words, **changes):
    return runs_of(repeated(*words, **changes))


OTHERS = {
    **{field.name: "other" for field in fields(Configuration)},
    "threads": 1,
    "batch": 4,
    "pause": 0.5,
    "emulated": True,
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_configuration_is_no_twin_and_told(name):
    old = runs(1.5)
    changed = replace(old, configuration=replace(old.configuration, **{name: OTHERS[name]}))
    first, second = compare_with_earlier([runs()], [changed])
    assert (first.verdict, second.verdict) == ("not compared", "not compared")
    assert first.old is None and second.new is None
    assert "instead of" in first.reason and "slower" not in first.text + second.text
    assert beyond(first, 0.05) is None


def test_every_option_of_a_run_decides_what_it_is_compared_with():
    usual = repeated()
    for field in fields(RunOptions):
        if field.name == "threads":  # what the runtime really took counts
            continue
        given = {
            "cores": "big",
            "precision": "fp16",
            "accelerator": "vulkan",
            "named": (("fp16_storage", "on"),),
        }[field.name]
        other = replace(usual, options=replace(usual.options, **{field.name: given}))
        new, old = runs_of(other).configuration, runs_of(usual).configuration
        assert len(differences(new, old)) == 1, field.name


def test_the_nearest_is_named_where_none_is_equal():
    near, far = runs(threads=1), runs(threads=1, asked="fp16", batch=8)
    first = compare_with_earlier([runs()], [far, near])[0]
    assert first.reason == "the earlier file has threads 1 instead of 4"


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.2, "slower"), (0.8, "faster"), (1.0, "the same")]
)
def test_steady_runs_are_ranked_in_turn_and_apart(factor, verdict):
    new, old = runs(factor), runs(baseline=True)
    for found in (compare_in_turn(new, old), *compare_with_earlier([new], [old])):
        assert found.verdict == verdict
        assert found.ratio.low - 0.01 < factor < found.ratio.high + 0.01


def test_a_single_run_is_never_ranked():
    """However many samples it has: they say nothing about the next run."""
    old = runs_of(result(samples=(2_000_000,) * 1000))
    for new in (runs_of(result(samples=(4_000_000,) * 1000)), runs(2.0)):
        (found,) = compare_with_earlier([new], [old])
        assert found.verdict == "cannot be told" and "--repeat" in found.text


def test_disturbed_runs_made_apart_are_not_ranked_but_those_in_turn_are():
    noisy = replace(runs(1.5), noisy=True)
    (apart,) = compare_with_earlier([noisy], [runs()])
    assert apart.verdict == "cannot be told" and "disturbed" in apart.text
    assert compare_in_turn(noisy, runs()).verdict == "slower"


def test_an_emulator_is_never_ranked():
    new, old = runs(2.0, emulated=True), runs(emulated=True)
    for found in (compare_in_turn(new, old), *compare_with_earlier([new], [old])):
        assert found.verdict == "cannot be told" and "emulated" in found.text
        assert beyond(found, 0.05) is None


def test_wide_runs_are_told_with_their_bounds():
    new = runs(1.05, spread=0.3)
    old = replace(new, medians_ns=tuple(reversed(new.medians_ns)))
    found = compare_in_turn(new, old)
    assert found.verdict == "cannot be told" and "faster and" in found.text


def test_a_file_of_an_earlier_version_is_read_and_never_ranked(tmp_path):
    """Its batch and its inputs are not in it."""
    document = bench_document([repeated()])
    for key in ("batch", "baseline", "other_load", "noisy", "samples_per_second"):
        del document["results"][0][key]
    del document["results"][0]["model"]["inputs"]
    del document["results"][0]["plan"]["repeats"]
    del document["comparisons"]
    write_document(document, tmp_path / "old.json")
    old = read_runs(tmp_path / "old.json")
    for new in (runs(2.0), runs(2.0, batch=4)):
        (found,) = compare_with_earlier([new], old)
        assert found.text == "cannot be told: the earlier file does not say its inputs and batch"
    del document["results"][0]["bench"]["run_lengths"]
    write_document(document, tmp_path / "old.json")
    assert len(read_runs(tmp_path / "old.json")[0].medians_ns) == 1


def test_several_results_of_one_configuration_are_more_runs(tmp_path):
    write_document(
        bench_document([repeated(repeats=3), repeated(repeats=3)]), tmp_path / "old.json"
    )
    (found,) = compare_with_earlier([runs(2.0)], read_runs(tmp_path / "old.json"))
    assert found.verdict == "slower" and len(found.old.medians_ns) == 6


def test_the_baseline_of_a_file_is_no_result_of_its_model(tmp_path):
    write_document(bench_document([repeated(), repeated(3.0, baseline=True)]), tmp_path / "a.json")
    (found,) = compare_with_earlier([runs()], read_runs(tmp_path / "a.json"))
    assert found.verdict == "the same"


def test_the_verdict_stands_in_the_document():
    found = compare_in_turn(runs(1.2), runs())
    (written,) = json.loads(json.dumps(bench_document([], [], [found])))["comparisons"]
    assert written["verdict"] == "slower" and written["text"] == found.text
    assert written["ratio"]["low"] > 1.1 and written["confidence"] == 0.99
    assert written["new"]["configuration"]["batch"] == 1


@pytest.mark.parametrize(
    ("factor", "limit", "error"),
    [
        (1.2, 0.05, SlowdownError),
        (1.2, 0.25, None),
        (1.0, 0.05, None),
        (0.5, 0.0, None),
    ],
)
def test_the_limit_sets_the_exit_code(factor, limit, error):
    found = [compare_in_turn(runs(factor), runs())]
    if error is None:
        judge(found, limit)
    else:
        with pytest.raises(error, match="digits with 4 threads in fp32 on pi: slower by"):
            judge(found, limit)


def test_what_cannot_be_told_keeps_no_limit():
    near = compare_in_turn(runs(1.05, spread=0.02), runs())
    unmatched = compare_with_earlier([runs(threads=1)], [runs()])
    for found in ([near], unmatched, []):
        with pytest.raises(UndecidedError):
            judge(found, 0.05)


def test_the_words_of_a_limit():
    tmp = Path("old.json")
    assert check_comparison(tmp, None, "5%") == 0.05
    assert check_comparison(None, tmp, " 2.5 ") == 0.025
    assert check_comparison(None, None, None) is None
    for compare, against, limit in (
        (tmp, tmp, None),
        (None, None, "5%"),
        (tmp, None, "much"),
        (tmp, None, "-1%"),
        (tmp, None, "nan"),
    ):
        with pytest.raises(UsageError):
            check_comparison(compare, against, limit)
