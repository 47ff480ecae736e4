"""Every target's binaries: what they are, and what they compute on the processors they are for.

``./scripts/test --all-targets`` builds all of them first; else those whose packages were
compiled before.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from deployx_edge import process
from deployx_edge.agent.client import PROTOCOL_VERSION
from deployx_edge.comparison import first_difference
from deployx_edge.crossbuild.elf import check_executable
from deployx_edge.crossbuild.finished import verify_files
from deployx_edge.device import Device
from deployx_edge.errors import MissingToolError, UsageError
from deployx_edge.measurement.values import BenchPlan, RunOptions
from deployx_edge.target import find_target, targets
from deployx_edge.transport import open_transport
from deployx_edge.transport.virtual.libraries import library_words
from deployx_edge.worker_facts import worker_facts
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.convert.bundle import make_bundle
from deployx_edge.workflows.measure.bench import bench, profile
from deployx_edge.workflows.measure.compare import compare

from .board import MissingPartError, running_sshd
from .crossbuild.compiling import built
from .foreign import foreign_root, mounted_proc

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_cnn.onnx"
# For x86 ncnn holds every layer four times over, for RISC-V and Arm about twice.
_WORKER_BYTES = {"linux-x64": 20_000_000, "linux-riscv64": 10_000_000}
_GLIBC = ("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1")
# Address, precision that is asked for and that runs.
_BOARDS = (
    ("virtual:linux-armv7?cpu=cortex-a9", "fp32", "fp32"),
    ("virtual:linux-armv7?cpu=cortex-a7", "fp32", "fp32"),
    ("virtual:linux-riscv64?cpu=rv64,v=false", "fp32", "fp32"),
    ("virtual:linux-riscv64?cpu=rv64,v=true,vext_spec=v1.0,vlen=128", "fp32", "fp32"),
    ("virtual:linux-riscv64?cpu=rv64,v=true,vext_spec=v1.0,vlen=256", "fp16", "fp32"),
    ("virtual:linux-riscv64?cpu=rv64,v=true,vext_spec=v1.0,vlen=128,Zfh=true", "fp16", "fp16"),
    ("virtual:linux-riscv64?cpu=rv64,v=true,vext_spec=v1.0,vlen=256,Zfh=true", "fp16", "fp16"),
    ("virtual:linux-riscv64?cpu=rv64,v=true,vext_spec=v1.0,vlen=256,Zfh=true", "fp32", "fp32"),
    ("virtual:jetson", "fp32", "fp32"),
)


def emulator(target):
    """The words before a binary of that target."""
    program = process.find_program(target.qemu)
    if program is None:
        pytest.skip(f"running it needs {target.qemu} (package qemu-user-static)")
    libraries = target.qemu_libraries
    if not target.dynamic_workers:
        return [str(program)]
    if not Path(libraries).is_dir():
        pytest.skip(f"running it needs {libraries} (package g++-aarch64-linux-gnu)")
    return [str(program), "-L", libraries]


@pytest.mark.parametrize("target_id", list(targets()))
def test_what_is_built_is_what_was_promised(target_id):
    target, runtime = find_target(target_id), built(target_id)
    verify_files(runtime)
    for worker in (file for file in runtime.files if file.role == "worker"):
        facts = worker_facts(worker.runtime)
        assert worker.options == tuple(option.name for option in facts.options)
    assert dict(runtime.packages)["ncnn"] == "1.0.20261020"
    assert dict(runtime.packages)["grpc"] == "1.51.1"
    assert "-O3" in runtime.flags
    assert runtime.reason
    agent, worker = runtime.agent, runtime.worker("ncnn")
    assert check_executable(agent, machine=target.elf_machine, static=True).libc == "static"
    if target.dynamic_workers:
        found = check_executable(worker, machine=target.elf_machine, static=False, glibc="2.31")
        assert re.fullmatch(r"GLIBC_2\.\d+", found.libc)
        assert not any("stdc++" in name or "gcc_s" in name for name in found.needed)
    else:
        check_executable(worker, machine=target.elf_machine, static=True)
    for file, largest in ((agent, 9_000_000), (worker, _WORKER_BYTES.get(target_id, 6_500_000))):
        assert file.stat().st_size <= largest
        assert b".symtab" not in file.read_bytes()
        # Pages of 16 KiB (Android, Raspberry Pi 5) and of 64 KiB.
        assert segment_alignments(file) == {65536}


def segment_alignments(file):
    from elftools.elf.elffile import ELFFile

    with file.open("rb") as content:
        segments = ELFFile(content).iter_segments("PT_LOAD")
        return {segment.header.p_align for segment in segments}


@pytest.mark.parametrize("target_id", list(targets()))
def test_each_binary_runs_under_qemu(target_id, tmp_path):
    target, runtime = find_target(target_id), built(target_id)
    before = emulator(target)
    said = subprocess.run(
        [*before, runtime.agent, "--version"], capture_output=True, text=True, check=True
    )
    assert (
        said.stdout
        == f"dx-agent {runtime.version} protocol {PROTOCOL_VERSION} target {target_id}\n"
    )
    bundle = make_bundle(DIGITS, tmp_path / "bundle")
    (spec,) = bundle.inputs
    shape = "x".join(map(str, spec.shape[1:] if len(spec.shape) == 4 else spec.shape))
    files = {file.role: bundle.folder / file.path for file in bundle.files}
    words = ["--bare", "--iterations", "3"]
    for role in ("param", "bin"):
        words += ["--file", f"{role}={files[role]}"]
    said = subprocess.run(
        [*before, runtime.worker("ncnn"), *words, "--input", f"{spec.runtime_name}={shape}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert len(said.stdout.split()) == 3


@pytest.mark.parametrize(("address", "asked", "runs"), _BOARDS)
def test_a_board_computes_what_the_source_says(address, asked, runs, tmp_path):
    """One binary for all processors of a target: each takes the kernels that it can run."""
    target = find_target(address.partition(":")[2].partition("?")[0])
    built(target.id)
    emulator(target)
    bundle = make_bundle(DIGITS, tmp_path / "bundle")
    options = RunOptions(precision=asked, threads=1)
    plan = BenchPlan(warmup=1, iterations=3)
    with open_session(Device(name="board", uri=address)) as session:
        assert session.target == target
        (result,) = bench(session, bundle, options=(options,), plan=plan)
    assert len(result.bench.samples_ns) == 3
    assert {count.precision for count in result.bench.precisions} & {"fp16", "bf16"} == (
        {"fp16"} if runs == "fp16" else set()
    )
    found = compare(DIGITS, bundle.folder, device=address, options=options)
    assert len(found.layers) > 5
    assert first_difference(found.layers) is None


def test_one_binary_takes_the_vectors_that_are_there(tmp_path):
    """Otherwise the boards above would all have run the same kernels."""
    built("linux-riscv64")
    emulator(find_target("linux-riscv64"))
    bundle = make_bundle(DIGITS, tmp_path / "bundle")

    def widest_packing(properties):
        board = Device(name="board", uri=f"virtual:linux-riscv64?cpu=rv64,{properties}")
        with open_session(board) as session:
            found = profile(session, bundle, warmup=0, iterations=1)
        return max(layer.packing for layer in found.profile.layers)

    # ncnn keeps as many floats together as a vector holds.
    assert widest_packing("v=false") == 1
    assert widest_packing("v=true,vext_spec=v1.0,vlen=128") == 4
    assert widest_packing("v=true,vext_spec=v1.0,vlen=256") == 8


def test_a_jetson_by_its_name_in_deployx_toml(tmp_path):
    """A static agent and a dynamic worker on a board that has glibc, over a real sshd."""
    target = find_target("jetson")
    built(target.id)
    libraries = Path(target.qemu_libraries) / "lib"
    if not libraries.is_dir():
        pytest.skip(f"a board with glibc needs {libraries} (package g++-aarch64-linux-gnu)")
    try:
        with foreign_root() as root, mounted_proc(root):
            (root / "lib").mkdir(exist_ok=True)
            for name in ("ld-linux-aarch64.so.1", *_GLIBC):
                shutil.copy(libraries / name, root / "lib" / name)
            with running_sshd(tmp_path / "sshd", f"ChrootDirectory {root}") as sshd:
                result = push_and_bench(sshd, tmp_path)
    except MissingPartError as missing:
        pytest.skip(f"a foreign board needs {missing}")
    assert result["device"]["target_id"] == "jetson-arm64"
    assert result["device"]["board"]["machine"] == "aarch64"
    assert len(result["bench"]["samples_ns"]) == 10


def push_and_bench(sshd, folder):
    """What the command says, for the device that a file names."""
    (folder / "deployx.toml").write_text(
        f'[devices.jetson]\nuri = "{sshd.uri}"\ntarget = "jetson"\nwork_folder = "/work"\n'
        f'ssh_config = "{sshd.options().ssh_config}"\n'
    )
    words = ["push-and-bench", DIGITS, "--device", "jetson", "--iterations", "10", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "deployx_edge", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    return result


def test_without_the_boards_glibc_the_package_is_named():
    program = emulator(find_target("linux-x64"))[0]
    elsewhere = replace(find_target("jetson"), qemu_libraries="/nowhere")
    with pytest.raises(MissingToolError, match=r"glibc in /nowhere, .* g\+\+-aarch64-linux-gnu"):
        library_words(elsewhere, program, elsewhere.qemu_cpu)
    # Static binaries need none.
    static = replace(find_target("linux-arm64"), qemu_libraries="/nowhere")
    assert library_words(static, program, static.qemu_cpu) == ()


def test_a_processor_that_qemu_cannot_play_is_refused(tmp_path):
    emulator(find_target("linux-riscv64"))
    with pytest.raises(UsageError, match=r"refuses '-cpu rv64,v=true,vlen=100': .*power of 2"):
        open_transport("virtual:linux-riscv64?cpu=rv64,v=true,vlen=100")
