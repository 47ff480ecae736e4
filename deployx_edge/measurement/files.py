"""Results as JSON files: everything that was measured, raw samples included."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deployx_edge.errors import UsageError
from deployx_edge.measurement.statistics import summarise
from deployx_edge.measurement.values import (
    BenchResult,
    ProfileResult,
    RunOptions,
    precision_that_ran,
)

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class StoredSamples:
    """What a comparison needs of one earlier result."""

    model: str
    device: str
    threads: int
    precision: str
    precision_that_ran: str
    emulated: bool
    samples_ns: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class FailedRun:
    """A run that was asked for and could not be; ``options`` is None where the whole board
    could not be had."""

    device: str
    uri: str
    options: RunOptions | None
    error: str
    exit_code: int


def bench_document(
    results: Sequence[BenchResult], failures: Sequence[FailedRun] = ()
) -> dict[str, Any]:
    """The JSON form of bench results, statistics beside the raw samples."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "bench",
        "results": [
            {
                **asdict(result),
                "precision_that_ran": precision_that_ran(result.bench.precisions),
                "statistics": asdict(summarise(result.bench.samples_ns)),
            }
            for result in results
        ],
        "failures": [asdict(failure) for failure in failures],
    }


def profile_document(result: ProfileResult) -> dict[str, Any]:
    """The JSON form of a profile."""
    return {"schema_version": SCHEMA_VERSION, "kind": "profile", "result": asdict(result)}


def write_document(document: dict[str, Any], path: Path) -> None:
    """Write beside and rename, so that an earlier file is never half overwritten."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(document, indent=1, default=list) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_samples(path: Path) -> list[StoredSamples]:
    """The samples of a bench file; UsageError where it is not one."""
    try:
        document = json.loads(path.read_bytes())
        if document["kind"] != "bench" or document["schema_version"] != SCHEMA_VERSION:
            raise UsageError(
                f"{path} is of kind '{document['kind']}', schema {document['schema_version']}; "
                f"expected 'bench', schema {SCHEMA_VERSION}."
            )
        return [_stored(result) for result in document["results"]]
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} is not a result of `deployx-edge bench` ({type(error).__name__}: {error})."
        ) from error


def _stored(result: dict[str, Any]) -> StoredSamples:
    return StoredSamples(
        model=str(result["model"]["name"]),
        device=str(result["device"]["name"]),
        threads=int(result["load"]["threads"]),
        precision=str(result["options"]["precision"]),
        precision_that_ran=str(result["precision_that_ran"]),
        emulated=bool(result["device"]["board"]["emulated"]),
        samples_ns=tuple(int(value) for value in result["bench"]["samples_ns"]),
    )
