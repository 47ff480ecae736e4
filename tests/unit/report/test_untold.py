"""What a runtime does not tell is shown as that, never as 0 or a guess."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from deployx_edge.measurement.files import (
    bench_document,
    profile_document,
    read_runs,
    write_document,
)
from deployx_edge.measurement.values import LayerProfile, ProfileResult, ProfileSamples
from deployx_edge.report.bench import bench_report
from deployx_edge.report.profile import profile_report
from tests.unit.report.results import result


def shown(report):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report)
    return console.export_text()


def untold(**changes):
    plain = result(**changes)
    return replace(plain, bench=replace(plain.bench, precisions=()))


def profile(layers):
    of = result()
    return ProfileResult(
        model=of.model,
        device=of.device,
        options=replace(of.options, named=(("spinning", "off"),)),
        load=of.load,
        profile=ProfileSamples(layers=tuple(layers), whole_ns=(100, 110)),
        measured_at=of.measured_at,
    )


def layer(**told):
    nothing = {"element_bits": None, "packing": None, "precision": None}
    return LayerProfile(
        index=1, name="conv", type="Conv", dims=(1, 2), samples_ns=(40, 50), **{**nothing, **told}
    )


def test_a_precision_that_is_not_told_is_shown_and_written_so(tmp_path):
    assert "not told" in shown(bench_report([untold()]))
    assert "not told" in shown(bench_report([untold(), untold(threads=1)]))
    document = bench_document([untold()])
    write_document(document, tmp_path / "bench.json")
    (written,) = json.loads((tmp_path / "bench.json").read_text())["results"]
    assert written["precision_that_ran"] is None
    (runs,) = read_runs(tmp_path / "bench.json")
    assert runs.configuration.precision_that_ran is None
    assert "precision that ran" in runs.configuration.untold


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, "not told"),
        ({"precision": "fp32"}, "fp32 "),
        ({"precision": "fp16", "element_bits": 16}, "fp16 (16 bits)"),
        ({"precision": "int8", "element_bits": 8, "packing": 4}, "int8 (8 bits x 4)"),
        ({"precision": "int8", "unit": "NPU"}, "int8 on NPU"),
        ({"unit": "CPU"}, "not told on CPU"),
    ],
)
def test_a_layers_elements_are_shown_as_far_as_they_are_told(told, words):
    text = shown(profile_report(profile([layer(**told)])))
    assert words in text
    assert "0 bits" not in text and "None" not in text


def test_a_profile_without_layers_says_so():
    text = shown(profile_report(profile([])))
    assert "layers not told by the runtime, undivided run 105 ns" in text


def test_a_profiles_document_has_null_for_what_is_not_told_and_options_by_name():
    written = json.loads(json.dumps(profile_document(profile([layer()])), default=list))["result"]
    (found,) = written["profile"]["layers"]
    assert [found[key] for key in ("element_bits", "packing", "precision")] == [None] * 3
    assert written["options"]["named"] == {"spinning": "off"}


def test_named_options_are_compared_with_those_of_earlier_files(tmp_path):
    plain = result()
    named = replace(plain, options=replace(plain.options, named=(("fp16_storage", "on"),)))
    document = bench_document([named])
    write_document(document, tmp_path / "new.json")
    (new,) = read_runs(tmp_path / "new.json")
    # As files of before wrote them: each switch a member of its own.
    options = document["results"][0]["options"]
    del options["named"]
    options |= {"fp16_storage": True, "bf16_storage": None}
    write_document(document, tmp_path / "old.json")
    (old,) = read_runs(tmp_path / "old.json")
    assert new.configuration.switches == old.configuration.switches == "fp16_storage=on"
