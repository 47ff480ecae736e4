"""An installed tool needs no checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_holds_all_that_a_build_needs(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    data = installed / "deployx_edge" / "_data"
    for name in ("toolchains", "recipes", "device_agent"):
        inside = {p.relative_to(data / name) for p in (data / name).rglob("*") if p.is_file()}
        listed = subprocess.run(
            ["git", "ls-files", name], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split()
        unneeded = ("device_agent/tests/", "device_agent/.clang-format")
        needed = {path for path in listed if not path.startswith(unneeded)}
        assert {Path(path).relative_to(name) for path in needed} <= inside
    # What stands in for makers' libraries in tests is not handed out.
    assert not (data / "device_agent" / "tests").exists()

    def run(*words):
        environment = {**os.environ, "PYTHONPATH": str(installed)}
        return subprocess.run(
            [sys.executable, "-m", "deployx_edge", *words],
            cwd=tmp_path,
            env={**environment, "DEPLOYX_EDGE_CACHE": str(tmp_path / "cache")},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    assert "linux-arm64" in run("targets")
    explained = run("build", "--target", "linux-arm64", "--explain")
    assert str(data / "device_agent") in explained
    assert str(ROOT / "device_agent") not in explained
