"""The table of runtimes: what it shows stands in its JSON, and in its figure."""

import io
import json
from dataclasses import replace

import pytest
from PIL import Image
from rich.console import Console

from deployx_edge.cli.bench import BenchRequest
from deployx_edge.cli.bench_comparison import repeats
from deployx_edge.cli.bench_table import is_table, real_failures
from deployx_edge.errors import UsageError
from deployx_edge.measurement.candidates import CandidateRow
from deployx_edge.measurement.files import FailedRun
from deployx_edge.measurement.standings import rounds_for
from deployx_edge.measurement.values import RunOptions
from deployx_edge.report.candidates import CandidateTable, candidates_document, candidates_report
from deployx_edge.report.candidates_figure import draw_candidates
from deployx_edge.workflows.choose.table import Scores, table_rows
from deployx_edge.workflows.convert.options import BundleOptions
from tests.unit.measurement.test_standings import error, row, score

REFUSED = CandidateRow(
    device="",
    runtime="onnxruntime",
    options=RunOptions(precision="bf16"),
    reason="bf16 is not available for onnxruntime.",
    exit_code=2,
)


def table(*rows, **words):
    return CandidateTable(model="digits", rows=rows, **words)


def shown(content):
    out = io.StringIO()
    Console(file=out, width=240, color_system=None).print(candidates_report(content))
    return out.getvalue()


def test_a_row_holds_what_was_measured_with_its_interval():
    one = row(error=error([0.01] * 12), accuracy=score(0.9, 0.88, 0.92), size_bytes=3 << 20)
    text = shown(table(one, row("onnxruntime", factor=2.0), error_inputs="12 inputs made up"))
    for expected in (
        *("ncnn", "onnxruntime", "2 ms … 2 ms", "4 ms … 4 ms", "10.0 MiB", "5 ms", "3.0 MiB"),
        *("1.0e-02", "top1 90.00% (88.00% … 92.00%)", "12 inputs made up"),
        "best latency (4 threads on pi): ncnn fp32; the next, onnxruntime fp32, takes 2.00 times",
        "no best memory (4 threads on pi): ",
    ):
        assert expected in text
    (first, _) = json.loads(json.dumps(candidates_document(table(one, row()))))["rows"]
    assert first["latency_ns"] == 2e6 and first["latency_interval_ns"] == pytest.approx([2e6] * 2)
    assert first["error"]["by_input"] == [0.01] * 12 and first["accuracy"]["low"] == 0.88
    assert first["threads"] == 4 and first["precision_that_ran"] == "fp32"


def test_what_refused_is_a_row_with_its_reason_in_table_and_json():
    content = table(row(), REFUSED)
    assert "no: bf16 is not available for onnxruntime." in shown(content)
    refused = candidates_document(content)["rows"][1]
    assert (refused["supported"], refused["exit_code"]) == (False, 2)
    assert refused["reason"] == REFUSED.reason and "latency_ns" not in refused


def test_a_note_is_told_once_with_the_rows_that_say_it():
    made_up = [row("ncnn", "int8", notes=("made up",)), row("onnxruntime", "int8", 2.0)]
    made_up[1] = replace(made_up[1], notes=("made up",))
    text = shown(table(*made_up))
    assert text.count("made up") == 1
    assert "ncnn int8, 4 threads; onnxruntime int8, 4 threads: made up" in text
    assert candidates_document(table(*made_up))["rows"][0]["notes"] == ["made up"]


def test_top_shows_the_fastest_and_json_has_all():
    rows = [row("ncnn", factor=3.0), row("onnxruntime"), row("ncnn", "int8", 2.0), REFUSED]
    text = shown(table(*rows, top=2))
    lines = [line for line in text.splitlines() if line.startswith("│")]
    assert ["onnxruntime" in lines[0], "int8" in lines[1], len(lines)] == [True, True, 2]
    assert "--top 2: 2 more in --json, 1 of them refused." in text and "bf16" not in text
    document = candidates_document(table(*rows, top=2))
    assert len(document["rows"]) == 4 and document["fastest_first"] == [1, 2, 0]


def test_a_cut_between_equals_is_told():
    text = shown(table(row(), row("onnxruntime"), row("ncnn", "int8", 2.0), top=1))
    assert "which 1 are fastest cannot be told: ncnn fp32 and onnxruntime fp32" in text
    assert "cannot be told:" not in shown(table(row(), row("onnxruntime", factor=2.0), top=1))


def test_unlike_rows_are_each_cut_and_drawn_by_themselves(tmp_path):
    single = row("onnxruntime", factor=4.0)
    single = replace(
        single, result=replace(single.result, load=replace(single.result.load, threads=1))
    )
    assert shown(table(row(), single, top=1)).count("│ fp32") == 2 * 2
    draw_candidates(table(row(), single), tmp_path / "two.png")
    draw_candidates(table(row()), tmp_path / "one.png")
    with Image.open(tmp_path / "two.png") as two, Image.open(tmp_path / "one.png") as one:
        assert two.height > 1.5 * one.height


@pytest.mark.parametrize("name", ["table.png", "new folder/table.svg"])
def test_the_figure_is_drawn_and_the_same_for_the_same_rows(tmp_path, name):
    rows = [row(error=error([1e-3] * 12)), row("onnxruntime", "int8", 2.0), REFUSED]
    path = tmp_path / name
    draw_candidates(table(*rows), path)
    if path.suffix == ".png":
        with Image.open(path) as drawn:
            colours = drawn.convert("RGB").getcolors(1 << 20)
        assert colours is not None and len(colours) > 50
    else:
        text = path.read_text()
        draw_candidates(table(*rows), path)
        assert text.startswith("<svg") and path.read_text() == text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({}, False),
        ({"runtimes": ("ncnn",)}, False),
        ({"runtimes": ("ncnn", "onnxruntime")}, True),
        ({"precisions": ("fp32", "int8")}, True),
        ({"precisions": ("int8",), "name": "m.param"}, False),
        ({"more": (None, 3)}, True),
    ],
)
def test_when_there_is_a_table(tmp_path, words, expected):
    model = tmp_path / words.get("name", "m.onnx")
    precisions = words.get("precisions", ("fp32",))
    assert is_table(model, words.get("runtimes", ()), precisions, words.get("more", ())) is expected
    # A bundle is what it is.
    assert not is_table(tmp_path, (), ("int8",), ())


def request(tmp_path, **words):
    usual = {
        "model": tmp_path / "m.onnx",
        "options": [RunOptions()],
        "bundle": BundleOptions(),
        "runtimes": ("ncnn", "onnxruntime"),
        "against": None,
        "calibration": None,
        "dataset": None,
        "images": None,
        "top": None,
        "wait": True,
    }
    return BenchRequest(**{**usual, **words})


def test_what_a_table_does_not_go_with_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(UsageError, match="--against"):
        request(tmp_path, against=tmp_path)
    options = [RunOptions(precision=p, threads=t) for p in ("fp32", "int8") for t in (1, 2)]
    assert request(tmp_path, options=options).candidates == 4
    assert request(tmp_path, runtimes=()).candidates == 0


def test_a_table_has_as_many_repeats_as_telling_apart_takes():
    assert repeats(None, None, None, 4) == rounds_for(4) > rounds_for(2)
    assert repeats(3, None, None, 4) == 3
    assert repeats(None, None, None) == 1


def test_a_refusal_is_a_row_and_a_crash_ends_the_command():
    def failed(code, runtime="ncnn"):
        return FailedRun(
            device="pi", uri="", options=None, error="", exit_code=code, runtime=runtime
        )

    every = [failed(45), failed(37), failed(42), failed(33), failed(30, runtime="")]
    assert [each.exit_code for each in real_failures(every)] == [42, 33, 30]


def test_a_board_that_is_not_available_is_a_row_too():
    lost = FailedRun(device="phone", uri="", options=None, error="No route.", exit_code=30)
    (found,) = table_rows([], [lost], [], [], None, Scores())
    assert (found.device, found.reason, found.exit_code) == ("phone", "No route.", 30)
    text = shown(table(row(), found))
    assert "phone" in text and "no: No route." in text
