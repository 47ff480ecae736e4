"""Results as JSON files: everything that was measured, raw samples included."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deployx_edge.errors import UsageError
from deployx_edge.files import LARGE, read_json
from deployx_edge.measurement.comparisons import Comparison, RepeatedRuns
from deployx_edge.measurement.configurations import configuration_of
from deployx_edge.measurement.fallback import precision_that_ran
from deployx_edge.measurement.ratios import CONFIDENCE
from deployx_edge.measurement.statistics import medians_of_runs, samples_per_second, summarise
from deployx_edge.measurement.values import (
    BenchResult,
    ProfileResult,
    RunOptions,
)
from deployx_edge.scratch import beside

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class FailedRun:
    """A run that was asked for and could not be; ``options`` is None, and ``runtime`` "", where the
    whole board could not be had."""

    device: str
    uri: str
    options: RunOptions | None
    error: str
    exit_code: int
    runtime: str = ""


def bench_document(
    results: Sequence[BenchResult],
    failures: Sequence[FailedRun] = (),
    comparisons: Sequence[Comparison] = (),
) -> dict[str, Any]:
    """The JSON form of bench results, statistics beside the raw samples."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "bench",
        "results": [_result_document(result) for result in results],
        "failures": [_with_options(asdict(failure)) for failure in failures],
        "comparisons": [
            {
                **asdict(comparison),
                "text": comparison.text,
                "confidence": CONFIDENCE if comparison.ratio else None,
            }
            for comparison in comparisons
        ],
    }


def _result_document(result: BenchResult) -> dict[str, Any]:
    return {
        **_with_options(asdict(result)),
        "precision_that_ran": precision_that_ran(result.bench.precisions),
        "statistics": asdict(summarise(result.bench.samples_ns)),
        "samples_per_second": samples_per_second(result),
    }


def _with_options(document: dict[str, Any]) -> dict[str, Any]:
    """A result whose runtime's own options are an object, by name."""
    if document["options"] is not None:
        document["options"]["named"] = dict(document["options"]["named"])
    return document


def runs_of(result: BenchResult) -> RepeatedRuns:
    """A result as a comparison takes it."""
    return _runs(_result_document(result))


def profile_document(result: ProfileResult, *others: ProfileResult) -> dict[str, Any]:
    """The JSON form of a profile; ``against`` are the ``others`` that it is shown beside."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "kind": "profile",
        "result": _with_options(asdict(result)),
    }
    if others:
        document["against"] = [_with_options(asdict(other)) for other in others]
    return document


def write_document(document: dict[str, Any], path: Path) -> None:
    """Write beside and rename, so that an earlier file is never half overwritten."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with beside(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1, default=list) + "\n", encoding="utf-8")
        temporary.replace(path)


def read_runs(path: Path) -> list[RepeatedRuns]:
    """What a bench file holds, for a comparison; UsageError where it is not one."""
    try:
        document = read_json(path, most=LARGE)
        if document["kind"] != "bench" or document["schema_version"] != SCHEMA_VERSION:
            raise UsageError(
                f"{path} is of kind '{document['kind']}', schema {document['schema_version']}; "
                f"expected 'bench', schema {SCHEMA_VERSION}."
            )
        return [_runs(result) for result in document["results"] if not result.get("baseline")]
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} is not a result of `deployx-edge bench` ({type(error).__name__}: {error})."
        ) from error


def _runs(result: dict[str, Any]) -> RepeatedRuns:
    samples = [int(value) for value in result["bench"]["samples_ns"]]
    lengths = tuple(int(length) for length in result["bench"].get("run_lengths", ()))
    return RepeatedRuns(
        configuration=configuration_of(result),
        bundle_sha256=str(result["model"]["bundle_sha256"]),
        runtime_version=str(result["load"]["runtime_version"]),
        medians_ns=tuple(medians_of_runs(samples, lengths)),
        p50_ns=summarise(samples).p50,
        noisy=bool(result.get("noisy", False)),
    )
