"""``virtual:`` by itself: qemu started by us, never by the kernel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deployx_edge.errors import MissingToolError, UsageError
from deployx_edge.target import find_target
from deployx_edge.transport import open_transport
from deployx_edge.transport.push import PushFile, file_sha256, install_agent, push
from deployx_edge.transport.virtual.transport import processors
from tests.integration.conftest import built_agent


def unregistered(program: Path, folder: Path) -> Path:
    """A copy that no rule of binfmt_misc knows, for its ABI version; qemu does not look at it."""
    header = bytearray(program.read_bytes())
    header[8] = 1
    copy = folder / program.name
    copy.write_bytes(header)
    return copy


def test_it_needs_no_binfmt_misc(tmp_path: Path) -> None:
    agent = unregistered(built_agent("linux-arm64"), tmp_path)
    source = tmp_path / "f"
    source.write_bytes(os.urandom(100_000))
    file = PushFile(
        local=source, sha256=file_sha256(source), size=100_000, executable=False, name="f"
    )
    with open_transport("virtual:linux-arm64", work_folder=str(tmp_path / "board")) as link:
        path = install_agent(link, agent)
        # The kernel itself does not start it.
        assert link.run([path, "--version"]).returncode == 126
        done = link.run([*link.launcher, path, "--version"])
        report = push(
            link, [*link.launcher, path, "receive", "--work", link.work_folder], "b", [file]
        )
    assert b"linux-arm64" in done.stdout
    assert report.sent_bytes == 100_000


def test_the_processor_is_chosen_by_the_address(tmp_path: Path) -> None:
    with open_transport("virtual:linux-arm64?cpu=cortex-a53") as link:
        assert link.launcher[-2:] == ("-cpu", "cortex-a53")
        assert link.work_folder.endswith("virtual/linux-arm64-cortex-a53")
        agent = install_agent(link, built_agent("linux-arm64"))
        assert link.run([*link.launcher, agent, "--version"]).returncode == 0
    with open_transport("virtual:linux-arm64?cpu=max,sve=off") as link:
        assert link.launcher[-2:] == ("-cpu", "max,sve=off")
        assert link.work_folder.endswith("virtual/linux-arm64-max_sve_off")


def test_a_program_by_a_cross_gcc_finds_its_shared_libraries(tmp_path: Path) -> None:
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    if compiler is None:
        pytest.skip(
            "aarch64-linux-gnu-gcc is not installed (apt-get install g++-aarch64-linux-gnu)"
        )
    source = tmp_path / "hello.c"
    source.write_text('#include <stdio.h>\nint main(void) { return puts("hello") < 0; }\n')
    program = tmp_path / "hello"
    subprocess.run([compiler, source, "-o", program], check=True)
    with open_transport("virtual:linux-arm64", work_folder=str(tmp_path / "board")) as link:
        done = link.run([*link.launcher, str(program)])
    assert (done.returncode, done.stdout) == (0, b"hello\n")


def test_the_default_processor_is_the_target_s(tmp_path: Path) -> None:
    with open_transport("virtual:linux-arm64") as link:
        assert link.launcher[-2:] == ("-cpu", "max")


@pytest.mark.parametrize("target", ["linux-arm64", "linux-x64"])
def test_an_unknown_processor_is_refused_with_the_nearest(target: str) -> None:
    name = {"linux-arm64": "cortex-a77", "linux-x64": "Haswel"}[target]
    nearest = {"linux-arm64": "cortex-a76", "linux-x64": "Haswell"}[target]
    with pytest.raises(UsageError, match=name) as caught:
        open_transport(f"virtual:{target}?cpu={name}")
    assert nearest in caught.value.remedy


def test_an_unknown_property_is_refused() -> None:
    with pytest.raises(UsageError, match="nosuch"):
        open_transport("virtual:linux-arm64?cpu=max,nosuch=1")


def test_the_list_of_processors_is_qemu_s() -> None:
    names = processors("qemu-aarch64-static")
    assert {"max", "cortex-a53", "cortex-a76"} <= set(names)
    assert all(" " not in name for name in names)


def test_without_qemu_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingToolError) as caught:
        open_transport("virtual:linux-arm64")
    assert "qemu-aarch64-static" in caught.value.message
    assert "apt-get install qemu-user-static" in caught.value.remedy


@pytest.mark.parametrize(
    ("cpu", "there", "missing"),
    [
        ("cortex-a53", {"fp", "asimd", "crc32"}, {"asimdhp", "atomics", "sve"}),
        ("cortex-a76", {"asimdhp", "atomics", "asimddp"}, {"sve", "bf16"}),
        ("max,sve=off", {"bf16", "i8mm"}, {"sve", "sve2"}),
    ],
)
def test_programs_see_the_processor_that_qemu_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpu: str, there: set[str], missing: set[str]
) -> None:
    """Libraries choose their kernels by /proc/cpuinfo; what is not there ends them."""
    target = find_target("linux-arm64")
    if not Path(target.qemu_libraries).is_dir():
        pytest.skip(f"needs {target.qemu_libraries} (package g++-aarch64-linux-gnu)")
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path))
    uri = f"virtual:linux-arm64?cpu={cpu}"
    with open_transport(uri, work_folder=str(tmp_path / "board")) as link:
        root = Path(link.launcher[link.launcher.index("-L") + 1])
    with open_transport(uri, work_folder=str(tmp_path / "board")) as link:
        assert str(root) in link.launcher  # Made once.
    assert (root / "lib" / "libc.so.6").is_file()
    blocks = (root / "proc" / "cpuinfo").read_text().split("\n\n")[:-1]
    assert len(blocks) >= (os.cpu_count() or 1)
    for block in blocks:
        lines = dict(re.split(r"\s*: ", line, maxsplit=1) for line in block.splitlines())
        features = set(lines["Features"].split())
        assert there <= features
        assert not missing & features
