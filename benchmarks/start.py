"""What a command takes beside its work: processor seconds of warm starts, and the slowest imports.

    .venv/bin/python benchmarks/start.py [--rounds N] [--json FILE]

Processor seconds are those of the command and of all that it starts (agent, worker, virtual
boards), the median of the rounds; waiting is not part of them. What is imported is grouped by
package, each with the milliseconds of its own files (python -X importtime), from one more run.
The cache is a folder of its own, filled by a first run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "examples" / "digits" / "digits_cnn.onnx"
# Processor seconds that each may take.
STARTS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("--help",), 0.15),
    (("targets",), 0.2),
    (("devices", "list"), 0.4),
    (("push-and-bench", str(MODEL), "--device", "local:"), 0.8),
)
SHOWN_PACKAGES = 6


def run(words: Sequence[str], folder: Path, *options: str) -> tuple[float, str]:
    """Processor seconds of the command with all that it waited for, and its standard error."""
    environment = {**os.environ, "DEPLOYX_EDGE_CACHE": str(folder / "cache")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *options, "-m", "deployx_edge", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stderr


def slowest_imports(report: str) -> list[tuple[str, float]]:
    """Milliseconds that each package's own files took to import, the slowest first."""
    taken: Counter[str] = Counter()
    for line in report.splitlines():
        if line.startswith("import time:") and line.count("|") == 2:
            own, _, name = line.removeprefix("import time:").split("|")
            if own.strip().isdigit():
                package = name.strip().partition(".")[0]
                taken["Python's own" if package in sys.stdlib_module_names else package] += int(own)
    return [(name, own / 1000) for name, own in taken.most_common(SHOWN_PACKAGES)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for words, limit in STARTS:
            run(words, folder)
            seconds = median(run(words, folder)[0] for _ in range(options.rounds))
            imports = slowest_imports(run(words, folder, "-X", "importtime")[1])
            shown = " ".join(Path(word).name if "/" in word else word for word in words)
            rows.append({"command": shown, "seconds": seconds, "limit": limit, "imports": imports})
            slow = ", ".join(f"{package} {own:.0f} ms" for package, own in imports)
            verdict = "within" if seconds <= limit else "OVER"
            print(f"{shown}: {seconds:.3f} s of the processor, {verdict} {limit:g} s; {slow}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
