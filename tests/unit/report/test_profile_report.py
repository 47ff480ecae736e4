"""Profiles by layer and by type, alone and beside another: order, shares, rates, unknowns."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from deployx_edge.errors import UsageError
from deployx_edge.measurement.fallback import profile_fallback
from deployx_edge.measurement.files import profile_document
from deployx_edge.measurement.values import (
    LayerProfile,
    ProfileResult,
    ProfileSamples,
)
from deployx_edge.report.profile import check_view, profile_report, profile_rows, profiles_report
from tests.unit.report.results import result


def layer(
    name: str, kind: str, ns: int, macs: int | None = 0, node: str | None = None
) -> LayerProfile:
    return LayerProfile(
        index=1,
        name=name,
        type=kind,
        dims=(1, 2),
        element_bits=32,
        packing=1,
        precision="fp32",
        samples_ns=(ns, ns, 9 * ns),
        macs=macs,
        node=node,
    )


def profile(*layers: LayerProfile, runtime: str = "ncnn") -> ProfileResult:
    of = result()
    return ProfileResult(
        model=replace(of.model, runtime=runtime),
        device=of.device,
        options=of.options,
        load=of.load,
        profile=ProfileSamples(layers=layers, whole_ns=(1000,)),
        measured_at=of.measured_at,
    )


FIRST = profile(
    layer("conv1", "Convolution", 100, 500, "conv1"),
    layer("relu", "ReLU", 50),
    layer("conv2", "Convolution", 600, 1200, "conv2"),
    layer("odd", "SDPA", 250, None),
)
SECOND = profile(
    layer("r1_nchwc", "Conv", 300, 1200, "conv2"),
    layer("conv1", "Conv", 20, 500, "conv1"),
    layer("Reorder", "ReorderOutput", 10),
    layer("Reorder", "ReorderOutput", 5),
    runtime="onnxruntime",
)


def shown(report: RenderableType) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report)
    return console.export_text()


def row_of(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if name in line)
    return [cell.strip() for cell in line.strip("│ ").split("│")]


def test_layers_stand_in_their_order_or_the_longest_first() -> None:
    names = ["conv1", "relu", "conv2", "odd"]
    assert [row.name for row in profile_rows(FIRST)] == names
    assert [row.name for row in profile_rows(FIRST, "layer")] == ["conv2", "odd", "conv1", "relu"]
    assert [row.share for row in profile_rows(FIRST)] == [0.1, 0.05, 0.6, 0.25]


def test_layers_of_a_type_are_summed_up() -> None:
    rows = profile_rows(FIRST, "type")
    assert [(row.name, row.layers, row.ns) for row in rows] == [
        ("Convolution", 2, 700),
        ("SDPA", 1, 250),
        ("ReLU", 1, 50),
    ]
    assert [row.macs for row in rows] == [1700, None, 0]


def test_rates_stand_where_they_are_known_alone() -> None:
    text = shown(profile_report(FIRST, "layer"))
    assert row_of(text, "conv2")[-2:] == ["1,200", "2"]
    assert row_of(text, "odd")[-2:] == ["unknown", "unknown"]
    assert row_of(text, "relu")[-2:] == ["–", "–"]
    assert "60.0% ████████████" in text
    by_type = shown(profile_report(FIRST, "type"))
    assert row_of(by_type, "Convolution") == [
        *("Convolution", "2", "700 ns", "70.0% ██████████████", "1,700", "2.43"),
    ]


def test_a_type_with_a_layer_that_is_not_known_is_not_known() -> None:
    mixed = profile(layer("a", "MatMul", 10, 100), layer("b", "MatMul", 10, None))
    (row,) = profile_rows(mixed, "type")
    assert row.macs is None
    assert row.rate is None


def test_the_top_rows_are_shown_and_the_rest_is_counted() -> None:
    text = shown(profile_report(FIRST, "layer", 2))
    assert "conv2" in text
    assert "odd" in text
    assert "conv1" not in text
    assert "2 more rows, 15.0% of the time" in text


def test_two_profiles_match_by_the_node_that_a_layer_is() -> None:
    text = shown(profiles_report([FIRST, SECOND]))
    assert "ncnn and onnxruntime side by side" in text
    conv2 = row_of(text, "conv2")
    assert conv2[1] == "600 ns"
    assert conv2[4] == "300 ns"
    assert conv2[-1] == "0.50"
    assert row_of(text, "odd")[4] == "unmatched"
    assert row_of(text, "Reorder ")[1] == "unmatched"
    assert "Reorder (2)" in text
    assert "2 of 6 rows are in all of them" in text
    assert "5 more rows" in shown(profiles_report([FIRST, SECOND], "layer", 1))


def test_precisions_of_a_runtime_are_told_apart() -> None:
    halves = replace(FIRST, options=replace(FIRST.options, precision="fp16"))
    text = shown(profiles_report([FIRST, halves]))
    assert "ncnn fp32 and ncnn fp16 side by side" in text


def test_types_match_by_name() -> None:
    text = shown(profiles_report([FIRST, FIRST], "type"))
    assert "digits 1 and digits 2 side by side" in text
    assert "3 of 3 rows are in all of them" in text
    assert row_of(text, "Convolution")[-1] == "1.00"


def test_the_document_holds_what_the_table_shows() -> None:
    document = json.loads(json.dumps(profile_document(FIRST, SECOND), default=list))
    first = document["result"]["profile"]["layers"][0]
    assert (first["macs"], first["node"]) == (500, "conv1")
    assert document["against"][0]["model"]["runtime"] == "onnxruntime"
    assert "against" not in profile_document(FIRST)


def part(name: str, cycles: int, node: str | None = None, kind: str = "") -> LayerProfile:
    made = replace(layer(name, kind, 0, None, node), precision=None, element_bits=None, unit="NPU")
    return replace(made, samples_ns=(), samples_cycles=(cycles, cycles, 9 * cycles))


COUNTED = profile(
    replace(layer("QNN_0", "QNN_0", 800, None), unit="NPU"),
    part("Input", 1000),
    part("/a/Conv_token_1", 6000, "/a/Conv", "Conv"),
    part("/a/Relu", 3000, "/a/Relu", "Relu"),
    replace(layer("det", "Conv", 200), unit="CPU"),
    runtime="qnn",
)


def test_cycles_are_no_times_and_have_shares_of_their_own() -> None:
    text = shown(profile_report(COUNTED))
    assert row_of(text, "QNN_0")[5:9] == ["800 ns", "80.0% ████████████████", "–", ""]
    assert row_of(text, "/a/Conv")[1:3] == ["/a/Conv", "Conv"]
    assert row_of(text, "/a/Conv")[5:9] == ["–", "", "6,000", "60.0% ████████████"]
    assert row_of(text, "Input")[2] == "not told"
    assert "sum of the layers 1 µs, undivided run 1 µs (ratio 1.000), 10,000 cycles" in text
    assert "share of cycles" not in shown(profile_report(FIRST))


def test_what_is_counted_in_cycles_stands_behind_what_is_timed() -> None:
    rows = profile_rows(COUNTED, "layer")
    names = ["QNN_0", "det", "/a/Conv", "/a/Relu", "Input"]
    assert [row.name for row in rows] == names
    assert [row.ns for row in rows] == [800, 200, None, None, None]
    text = shown(profile_report(COUNTED, "layer", 1))
    assert "4 more rows, 20.0% of the time and 100.0% of the cycles" in text
    by_type = profile_rows(COUNTED, "type")
    kinds = [(row.name, row.ns, row.cycles) for row in by_type if row.name == "Conv"]
    assert kinds == [("Conv", 200, None), ("Conv", None, 6000)]


def test_cycles_are_compared_with_cycles_alone() -> None:
    twice = replace(
        COUNTED, profile=replace(COUNTED.profile, layers=(part("/a/Conv", 12000, "/a/Conv"),))
    )
    row = row_of(shown(profiles_report([COUNTED, twice])), "/a/Conv")
    assert (row[1], row[4], row[-1]) == ("6,000 cycles", "12,000 cycles", "2.00")
    timed = profile(layer("/a/Conv", "Conv", 300, 7, "/a/Conv"))
    row = row_of(shown(profiles_report([COUNTED, timed])), "/a/Conv")
    assert (row[1], row[4], row[-1]) == ("6,000 cycles", "300 ns", "–")


def test_an_emulator_s_cycles_are_said_to_be_its_own() -> None:
    emulated = replace(
        COUNTED.device.board, emulated=True, emulated_reason="Qualcomm's HTP emulator"
    )
    text = shown(profile_report(replace(COUNTED, device=replace(COUNTED.device, board=emulated))))
    assert "cycles are those that Qualcomm's HTP emulator counts, no NPU's" in text
    assert "no NPU's" not in shown(profile_report(COUNTED))


def test_an_unknown_view_is_refused() -> None:
    check_view(None)
    with pytest.raises(UsageError, match="--by size is not known"):
        check_view("size")


def test_a_profile_says_what_fell_back() -> None:
    """Of precisions those of layers that multiply; by units what an accelerator left."""
    conv, relu = layer("conv", "Conv", 10, 500), layer("relu", "Relu", 10)
    assert profile_fallback("fp32", "fp32", (conv, relu)) is None
    assert "fp16 was asked for" in str(profile_fallback("fp16", "fp16", (conv, relu)))
    half = replace(conv, precision="fp16")
    assert profile_fallback("fp16", "fp16", (half, relu)) is None
    on_npu = replace(half, unit="NPU")
    left = replace(relu, unit="CPU", fell_back=True)
    assert profile_fallback("fp16", "fp16", (on_npu, left)) == (
        "The processor, not the accelerator, ran relu."
    )
    on_gpu = replace(relu, unit="GPU")
    assert profile_fallback("fp16", "fp16", (replace(half, unit="DLA"), on_gpu)) is None
    on_gpu = replace(on_gpu, fell_back=True)
    assert profile_fallback("fp16", "fp16", (replace(half, unit="DLA"), on_gpu)) == (
        "The GPU, not the accelerator, ran relu."
    )
    both = (replace(on_gpu, name="last"), left)
    assert profile_fallback("fp32", "fp32", both) == (
        "The GPU and processor, not the accelerator, ran last, relu."
    )
