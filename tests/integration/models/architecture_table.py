"""``docs/architectures.md``: what became of each architecture of the matrix.

``python -m tests.integration.models.architecture_table [--log FILE] [--processes N]`` converts
all of them (about an hour) and writes it. What is in the log already is not converted again.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.integration.models.architecture_runner import ROOT, Outcome, run_all
from tests.integration.models.architectures import FAMILIES, Architecture, all_architectures

PAGE = ROOT / "docs" / "architectures.md"
_HEAD = """\
# Architectures in ncnn

Written by `python -m tests.integration.models.architecture_table`. Networks of public libraries
(`pytorchcv`, `transformers`) and a few that these do not have, with random weights and at small
sizes, were exported, converted, run in ncnn and compared with ONNX Runtime as `convert` does it.

"""
_TITLE = (
    "| Architecture | Family | Source | In ncnn | Why | Exporter |\n|---|---|---|---|---|---|\n"
)
_ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| [^|]* \| ([^|]+) \|", re.MULTILINE)


def page_text(outcomes: Mapping[str, Outcome]) -> str:
    """The page for these outcomes."""
    entries = sorted(all_architectures(), key=lambda entry: FAMILIES.index(entry.family))
    rows = "\n".join(_row(entry, outcomes[entry.name]) for entry in entries)
    return f"{_HEAD}{_summary(entries, outcomes)}\n\n{_TITLE}{rows}\n"


def read_page(text: str) -> dict[str, tuple[str, str]]:
    """What a page says: family and verdict by architecture."""
    rows = _ROW.findall(text)
    return {name: (family, verdict) for name, family, verdict in rows if family in FAMILIES}


def _summary(entries: Sequence[Architecture], outcomes: Mapping[str, Outcome]) -> str:
    counts = dict.fromkeys(("right", "refused"), 0)
    for entry in entries:
        verdict = outcomes[entry.name].verdict
        counts[verdict] = counts.get(verdict, 0) + 1
    found = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return f"{len(entries)} architectures: {found}."


def _row(entry: Architecture, outcome: Outcome) -> str:
    source = entry.source.partition(":")[0].rpartition(".")[2]
    origin = "own" if entry.library == "tests" else f"{entry.library} {source}".strip()
    if entry.library == "transformers":
        origin = entry.library
    why = "" if outcome.verdict == "right" else outcome.detail.replace("|", "\\|")
    cells = (entry.name, entry.family, origin, outcome.verdict, why, outcome.exporter)
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run what is not in the log, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--log", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = arguments.log or Path(folder) / "outcomes.jsonl"
        outcomes = run_all(all_architectures(), log, arguments.processes)
    PAGE.write_text(page_text(outcomes), encoding="utf-8")


if __name__ == "__main__":
    main()
