import io
from dataclasses import replace

import pytest
from rich.console import Console

from deployx_edge.errors import UsageError
from deployx_edge.measurement.fallback import (
    fallback_warnings,
    precision_that_ran,
    precision_warning,
    units_that_ran,
)
from deployx_edge.measurement.files import bench_document, read_runs, runs_of
from deployx_edge.measurement.statistics import samples_per_second
from deployx_edge.measurement.values import (
    Conditions,
    Measure,
    PrecisionCount,
    Throughput,
    UnitCount,
)
from deployx_edge.report.bench import bench_report, comparison_report
from deployx_edge.units import duration, size, sparkline
from deployx_edge.workflows.measure.rounds import compare_results

from .results import result


def shown(content):
    out = io.StringIO()
    Console(file=out, width=200, color_system=None).print(content)
    return out.getvalue()


def test_one_result_shows_what_was_measured_and_where():
    text = shown(bench_report([result()]))
    for expected in ("digits", "pi", "Cortex-A76", "2 ms", "3 ms", "10.0 MiB"):
        assert expected in text
    assert "40 → 55.5 °C (cpu)" in text
    # 2 ms a run are 500 runs a second.
    assert "500" in text
    assert "2 ms compute + 100 µs serialisation + 900 µs transport" in text


def test_who_else_had_the_processor_is_shown():
    quiet = result()
    assert "processor" in shown(bench_report([quiet]))
    board = replace(quiet.device.board, free_cores=2, processor_quota=2.5)
    busy = replace(
        quiet,
        device=replace(quiet.device, board=board),
        bench=replace(quiet.bench, waited_ns=12_000_000, throttled_ns=0),
        other_load=1.25,
        stolen_load=0.5,
    )
    text = shown(bench_report([busy]))
    assert "4 on 4 cores (free physical cores: 2, quota 2.5)" in text
    assert (
        "1.2 of 4 cores busy with other programs, 0.5 stolen, 12 ms waited for, 0 ns throttled"
        in text
    )


def test_an_emulated_result_has_no_rate():
    for results in ([result(emulated=True)], [result(emulated=True)] * 2):
        text = shown(bench_report(results))
        assert "500" not in text
        assert "emulated" in text


def test_an_accelerators_memory_is_shown_where_it_is_told():
    assert "accelerator memory" not in shown(bench_report([result()]))
    told = replace(result(), load=replace(result().load, accelerator_bytes=3 * 2**20))
    assert "3.0 MiB" in shown(bench_report([told]))


def test_several_results_are_rows_of_one_table():
    text = shown(bench_report([result(threads=1), result(threads=2)]))
    assert text.count("500") == 2


def test_a_precision_that_was_not_had_is_marked():
    counts = (PrecisionCount(precision="fp32", layers=5),)
    assert "no layer ran in it" in precision_warning("fp16", "fp32", counts)
    assert precision_warning("fp32", "fp32", counts) is None
    assert "no layer ran in it" in str(precision_warning("fp32", "int8", counts))
    assert "no layer ran in it" in str(precision_warning("int8", "fp32", counts))
    quantized = (*counts, PrecisionCount(precision="int8", layers=9))
    assert precision_warning("fp32", "int8", quantized) is None
    assert precision_warning("int8", "int8", quantized) is None
    assert "no layer ran in it" in str(precision_warning("fp16", "int8", quantized))


def test_layers_that_an_accelerator_left_to_the_processor_are_named():
    counts = (PrecisionCount(precision="fp16", layers=9),)
    assert fallback_warnings("fp16", "fp16", counts, ()) == ()
    (said,) = fallback_warnings("fp16", "fp16", counts, ("pad", "norm"))
    assert said == "The processor, not the accelerator, ran pad, norm."
    precision, said = fallback_warnings("fp32", "fp16", counts, tuple("abcdefgh"))
    assert "no layer ran in it" in precision
    assert said.endswith("ran a, b, c, d, e and 3 more.")


def test_what_an_accelerator_left_to_another_unit_is_said_to_have_run_there():
    counts = (PrecisionCount(precision="fp16", layers=9),)
    units = (UnitCount(unit="DLA", layers=9), UnitCount(unit="GPU", layers=12, fell_back=1))
    (said,) = fallback_warnings("fp16", "fp16", counts, ("fc",), units)
    assert said == "The GPU, not the accelerator, ran fc."
    (said,) = fallback_warnings(
        "fp16", "fp16", counts, ("fc",), (UnitCount(unit="CPU", layers=1, fell_back=1),)
    )
    assert said == "The processor, not the accelerator, ran fc."
    assert units_that_ran(units) == "GPU (12) + DLA (9)"
    assert units_that_ran(()) is None
    told = replace(result(), bench=replace(result().bench, units=units))
    assert "GPU (12) + DLA (9)" in shown(bench_report([told]))
    assert "units that ran" not in shown(bench_report([result()]))


def test_runs_beside_each_other_are_a_throughput_and_no_rate():
    ran = result()
    told = replace(ran.bench, throughput=Throughput(streams=2, runs=500, ns=10**9))
    text = shown(bench_report([replace(ran, bench=told)]))
    assert "500 FPS with 2 runs at a time, copies included" in text
    assert samples_per_second(replace(ran, bench=told)) == samples_per_second(ran)
    assert "throughput" not in shown(bench_report([ran]))
    far = result(emulated=True)
    assert "500" not in shown(bench_report([replace(far, bench=told)]))


def test_mixed_precisions_are_told_with_their_layers():
    counts = (
        PrecisionCount(precision="fp32", layers=2),
        PrecisionCount(precision="fp16", layers=9),
    )
    assert precision_that_ran(counts) == "fp16 (9) + fp32 (2)"
    assert precision_that_ran(()) is None


def test_a_batch_counts_all_its_samples():
    """2 ms a run of eight samples are 4000 samples a second."""
    one = result(batch=8)
    assert samples_per_second(one) == 4000
    assert bench_document([one])["results"][0]["samples_per_second"] == 4000
    for results in ([one], [one] * 2):
        assert "4,000" in shown(bench_report(results)) and "8" in shown(bench_report(results))
    assert bench_document([result(emulated=True)])["results"][0]["samples_per_second"] is None


def test_a_model_of_minutes_costs_no_inference_over_the_link():
    slow = replace(result().transport, inference=None)
    text = shown(bench_report([replace(result(), transport=slow)]))
    assert "400 µs for a message that runs nothing" in text and "round trip" not in text


def test_a_comparison_is_a_row_with_verdict_and_reason():
    lengths, samples = (2,) * 10, [2_000_000 + i * 1000 for i in range(20)]
    new = result(samples=[2 * value for value in samples], lengths=lengths)
    old = result(samples=samples, lengths=lengths, baseline=True)
    text = shown(bench_report([new, old], compare_results([new, old], [])))
    assert "slower by 100.0% to 100.0%" in text and "2.000 [2.000, 2.000]" in text
    assert "2.01 ms (10 runs)" in text and "note: the very same bundle" in text
    unmatched = compare_results([result(threads=1)], [runs_of(result())])
    assert "the earlier file has threads 4 instead of 1" in shown(comparison_report(unmatched))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"kind": "profile", "schema_version": 1}'])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "old.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"old\.json"):
        read_runs(path)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(812, "812 ns"), (51_234, "51.2 µs"), (5_310_000, "5.31 ms"), (2_500_000_000, "2.500 s")],
)
def test_durations_carry_the_unit_that_fits(nanoseconds, text):
    assert duration(nanoseconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(12, "12 B"), (5 * 1024 * 1024, "5.0 MiB"), (3 << 30, "3.0 GiB"), (None, "not available")],
)
def test_sizes_are_binary(count, text):
    assert size(count) == text


def test_a_board_that_slows_down_shows_a_step():
    assert sparkline([1000] * 100 + [2000] * 100, width=4) == "▅▅██"
    assert sparkline([5]) == "█"


def test_what_accelerator_and_rails_had_before_and_after_is_shown():
    def board(load, watts, settings=("power mode MODE_15W",)):
        return Conditions(
            measures=(
                Measure(name="gpu load", value=load, unit="%", source="s"),
                Measure(name="power VDD_IN", value=watts, unit="W", source="s"),
            ),
            settings=settings,
        )

    one = result()
    bench = replace(one.bench, before=board(2.0, 4.875), after=board(98.5, 11.25))
    found = replace(one, bench=bench)
    text = shown(bench_report([found]))
    assert "2 → 98.5 %" in text
    assert "4.875 → 11.25 W" in text
    assert "power mode MODE_15W" in text
    (document,) = bench_document([found])["results"]
    after = document["bench"]["after"]
    assert list(after["settings"]) == ["power mode MODE_15W"]
    assert after["measures"][1] == {
        "name": "power VDD_IN",
        "value": 11.25,
        "unit": "W",
        "source": "s",
    }
    assert "power" not in shown(bench_report([one]))
