"""A board whose accelerator's library stands in: 64-bit Arm behind a real sshd, its programs under
qemu, with the files by which such a board tells its chip, its drivers and its clocks.

The libraries compute by ONNX Runtime (device_agent/tests/worker/stand_in/computes.h), so that what
comes back is true of the model, and of no accelerator. Words in a file of the board say how they
behave (words.h), so that one board plays all parts.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from deployx_edge import __version__
from deployx_edge.crossbuild.elf import check_executable
from deployx_edge.crossbuild.finished import BuiltFile, hash_file, read_build, write_build
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.packages import installed_packages
from deployx_edge.crossbuild.plan import plan_build
from deployx_edge.device import Device
from deployx_edge.errors import BuildError
from deployx_edge.resources import data_folder, dist_folder
from deployx_edge.scratch import beside
from deployx_edge.target import find_target
from deployx_edge.worker_facts import worker_names
from deployx_edge.workflows.build.built import ensure_built
from deployx_edge.workflows.locking import locked
from tests.integration.board import USER, MissingPartError, Sshd, running_sshd
from tests.integration.busybox import board_folder
from tests.integration.crossbuild.compiling import cmake_commands, run
from tests.integration.foreign import foreign_root

TARGET = find_target("linux-arm64")
SOURCES = data_folder("device_agent")
STAND_IN = SOURCES / "tests" / "worker" / "stand_in"
# What each library is compiled of.
LIBRARIES = {
    "librknnrt.so": (STAND_IN / "stand_in_rknnrt.cpp", SOURCES / "workers/rknn/elements.cpp"),
    "libSNPE.so": (STAND_IN.with_name("stand_in_snpe") / "stand_in_snpe.cpp",),
}
# glibc, and what ONNX Runtime needs beside it.
_SYSTEM = ("ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0")
_SYSTEM += ("librt.so.1", "libstdc++.so.6", "libgcc_s.so.1")
_ONNXRUNTIME = "/opt/onnxruntime.so"
_WORDS, _MODELS = "/etc/stand-in", "/opt/models"
_CPUINFO = "processor\t: 0\nFeatures\t: fp asimd asimdhp asimddp\n"
_CPUINFO += "CPU implementer\t: 0x41\nCPU variant\t: 0x0\nCPU part\t: 0xd0b\nCPU revision\t: 0\n"
NODE = "dev/dri/renderD129"
# A user of every computer who may do little, and the group that may open what computes.
GUEST, RENDER = "nobody", ("render", 4105)
ROCK = ("Radxa ROCK 5B", "radxa,rock-5b", "rockchip,rk3588")


@dataclass(frozen=True)
class NpuBoard:
    """``root`` is the board's root folder on this computer, ``files`` what it tells of itself."""

    sshd: Sshd
    root: Path

    @property
    def device(self) -> Device:
        """The board, as a user names one."""
        return Device(
            name="board", uri=self.sshd.uri, work_folder="/work", options=self.sshd.options()
        )

    def toml(self) -> str:
        """The board in ``deployx.toml``, and as GUEST finds it."""
        options = self.sshd.options()
        guest = self.sshd.uri.replace(f":{USER}@", f":{GUEST}@")
        rows = (("board", self.sshd.uri, "/work", "/tmp"), ("guest", guest, "/guest", "/guest"))
        return "".join(
            f'[devices.{name}]\nuri = "{uri}"\nwork_folder = "{folder}"\n'
            f'ssh_config = "{options.ssh_config}"\nlease_folder = "{lease}"\n'
            for name, uri, folder, lease in rows
        )

    @contextmanager
    def closed(self, node: str) -> Iterator[None]:
        """A device node that only root and its group RENDER may open, while the block lasts."""
        path = self.root / node
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self.tell("etc/group", f"root:x:0:\n{RENDER[0]}:x:{RENDER[1]}:\n")
        os.chown(path, 0, RENDER[1])
        path.chmod(0o660)
        try:
            yield
        finally:
            path.chmod(0o666)

    @contextmanager
    def without(self, path: str) -> Iterator[None]:
        """A file of the board's that is not there while the block lasts."""
        file = self.root / path
        aside = file.rename(file.with_suffix(".aside"))
        try:
            yield
        finally:
            aside.rename(file)

    def behave(self, words: str = "") -> None:
        """Say how the libraries behave from now on."""
        text = f"onnxruntime={_ONNXRUNTIME} models={_MODELS} {words}\n"
        self.tell(_WORDS[1:], text)

    def tell(self, path: str, text: str) -> None:
        """What a file of the board says."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def be(self, model: str, *compatible: str) -> None:
        """The board's name and its chips, the most general one last, as device trees say them."""
        base = "sys/firmware/devicetree/base"
        self.tell(f"{base}/model", f"{model}\0")
        self.tell(f"{base}/compatible", "".join(f"{word}\0" for word in compatible))

    def know(self, rknn: Path, onnx: Path) -> None:
        """Lay down what a file of Rockchip's toolkit computes, which nobody can read out of it."""
        folder = self.root / _MODELS[1:]
        folder.mkdir(exist_ok=True, parents=True)
        shutil.copyfile(onnx, folder / f"{fnv1a(rknn.read_bytes())}.onnx")


def fnv1a(content: bytes) -> int:
    """The hash by which the library that stands in for Rockchip's finds a model's source."""
    found = 0xCBF29CE484222325
    for byte in content:
        found = (found ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return found


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """How a board behaves, the exit code that a command to it ends with, and which words of its
    sentence a user needs; ``device`` is who is connected, ``node`` one that guests may not open,
    ``absent`` a file that is not there."""

    words: str = ""
    code: int
    said: tuple[str, ...]
    device: str = "board"
    node: str = ""
    absent: str = ""
    more: tuple[str, ...] = ()

    def check(self, board: NpuBoard, command: Callable[..., str], usual: str = "") -> None:
        """That a command, which is given the device and options besides, ends so."""
        board.behave(f"{usual} {self.words}")
        with (
            board.closed(self.node) if self.node else nullcontext(),
            board.without(self.absent) if self.absent else nullcontext(),
        ):
            told = command("--device", self.device, *self.more, code=self.code)
        # Below it may stand what the worker wrote before it ended.
        sentence = told.splitlines()[0]
        assert all(word in sentence for word in self.said), told
        board.behave(usual)


@contextmanager
def npu_board(folder: Path) -> Iterator[NpuBoard]:
    """An RK3588 with its NPU, driver and library; MissingPartError says what it takes."""
    libraries = Path(TARGET.qemu_libraries) / "lib"
    if not (libraries / _SYSTEM[0]).is_file():
        raise MissingPartError(f"{libraries} (apt-get install g++-aarch64-linux-gnu)")
    runtime = next((dist_folder(TARGET.id)).glob("libonnxruntime.so.*"))
    with foreign_root() as root:
        lines = (f"ChrootDirectory {root}", f"SetEnv DX_STAND_IN=@{_WORDS}")
        for name in _SYSTEM:
            place = root / "lib" / name
            place.parent.mkdir(exist_ok=True)
            shutil.copy(libraries / name, place)
        (root / "opt").mkdir()
        shutil.copy(runtime, root / _ONNXRUNTIME[1:])
        (root / "usr/lib").mkdir(parents=True, exist_ok=True)
        shutil.copy(stand_in("librknnrt.so"), root / "usr/lib")
        (root / "tmp").chmod(0o1777)
        _admit_guest(root)
        # The file is where a guest may not read it.
        keys = f"/usr/bin/cat {folder / 'authorized_keys'}"
        lines += (f"AuthorizedKeysCommand {keys}", "AuthorizedKeysCommandUser root")
        with running_sshd(folder, *lines) as sshd:
            board = NpuBoard(sshd, root)
            board.behave()
            rockchip(board)
            yield board


def _admit_guest(root: Path) -> None:
    """The folder of GUEST, and the shell that sshd starts for them by this computer's list."""
    entry = pwd.getpwnam(GUEST)
    (root / "guest").mkdir()
    os.chown(root / "guest", entry.pw_uid, entry.pw_gid)
    shell = root / entry.pw_shell.lstrip("/")
    shell.parent.mkdir(parents=True, exist_ok=True)
    shell.write_text('#!/bin/sh\nexec /bin/sh "$@"\n')
    shell.chmod(0o755)


def rockchip(board: NpuBoard) -> None:
    """What a Rockchip board with the maker's kernel tells root."""
    board.be(*ROCK)
    board.tell("etc/os-release", 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    board.tell("proc/cpuinfo", _CPUINFO)
    for which in ("possible", "present", "online"):
        board.tell(f"sys/devices/system/cpu/{which}", "0\n")
    board.tell("proc/meminfo", "MemTotal:  8000000 kB\nMemAvailable:  7000000 kB\n")
    board.tell("sys/module/rknpu/version", "0.9.8\n")
    board.tell("sys/kernel/debug/rknpu/load", "NPU load:  Core0: 35%, Core1:  0%, Core2:  7%,\n")
    for name, value in (("cur", 1000), ("min", 300), ("max", 1000)):
        board.tell(f"sys/class/devfreq/fdab0000.npu/{name}_freq", f"{value}000000\n")
    board.tell(NODE, "")
    driver = board.root / "sys/class/drm/renderD129/device/driver"
    driver.parent.mkdir(parents=True)
    driver.symlink_to("../../../../bus/platform/drivers/RKNPU")


def built_runtimes() -> tuple[str, ...]:
    """Those whose workers the finished build for the board has."""
    try:
        return read_build(dist_folder(TARGET.id)).runtimes
    except BuildError:
        return ()


def compiled_with() -> tuple[list[str], dict[str, str], Path]:
    """The compiler of a board's workers with its words, its environment, and where ONNX Runtime's
    header lies; MissingPartError where nothing was built yet."""
    share = plan_build(TARGET, BuildOptions()).share_of("worker_onnxruntime")
    try:
        packages = {each.name: each.folder for each in installed_packages(share.packages_folder)}
    except BuildError as error:
        raise MissingPartError(f"a build of {TARGET.id} from this checkout") from error
    environment = dict(share.toolchain.environment)
    ccache = environment.get("CMAKE_CXX_COMPILER_LAUNCHER")
    wrapper = data_folder("toolchains") / "bin" / "zig-c++"
    words = [*([ccache] if ccache else []), str(wrapper), f"--zig={environment['DX_ZIG']}"]
    words += ["-target", f"aarch64-linux-gnu.{environment['DX_GLIBC']}"]
    return words, {**os.environ, **environment}, packages["onnxruntime"] / "include"


def build_with_sdk(folder: Path) -> Path:
    """A ``dist`` whose build for the board has SNPE's worker and the library that stands in, which
    takes an SDK else; agent and all else are of the build that is there."""
    runtime = "snpe"
    share = plan_build(TARGET, BuildOptions()).share_of("worker_onnxruntime")
    place = board_folder() / f"worker-{hashlib.sha256(str(SOURCES).encode()).hexdigest()[:8]}"
    environment = dict(share.toolchain.environment)
    configure, _ = cmake_commands(SOURCES, place, share.toolchain.cmake_file)
    others = [f"-DDX_BUILD_WORKER_{n.upper()}=OFF" for n in worker_names() if n != runtime]
    headers = [
        f"-DDX_SNPE_INCLUDE={STAND_IN.with_name('stand_in_snpe')}",
        "-DDX_SNPE_VERSION=2.39.0",
    ]
    own = [f"-DDX_VERSION={__version__}", f"-DDX_TARGET_ID={TARGET.id}", "-DDX_BUILD_AGENT=OFF"]
    worker = place / "bin" / f"dx-worker-{runtime}"
    with locked(place.with_suffix(".lock")):
        if not (place / "build.ninja").is_file():
            run([*configure, *headers, *own, *others], environment)
        run(["cmake", "--build", place, "--target", worker.name], environment)
    build = ensure_built(TARGET)  # an agent of older sources would not understand the worker
    made = folder / TARGET.id
    made.mkdir(parents=True)
    shutil.copy(build.agent, made)
    files = [file for file in build.files if file.role == "agent"]
    for path, role in ((worker, "worker"), (stand_in("libSNPE.so"), "library")):
        shutil.copy(path, made)
        found = check_executable(path, machine=TARGET.elf_machine, static=False, glibc="")
        file = BuiltFile(
            name=path.name,
            role=role,
            runtime=runtime,
            sha256=hash_file(path),
            size_bytes=path.stat().st_size,
            machine=found.machine,
            libc=found.libc,
            libstdcxx=found.libstdcxx,
            needed=found.needed,
        )
        files.append(file)
    write_build(replace(build, folder=made, files=tuple(files), imported=True))
    return folder


def stand_in(name: str) -> Path:
    """The library for the board, compiled once for these sources."""
    sources = LIBRARIES[name]
    read = sorted({*STAND_IN.glob("*.h"), *sources, *sources[0].parent.glob("*.h")})
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in read)).hexdigest()
    folder = board_folder() / f"stand-in-{digest[:16]}"
    if folder.is_dir():
        return folder / name
    compiler, environment, headers = compiled_with()
    words = [*("-std=c++17", "-fPIC", "-O1", "-g0", "-s"), f"-I{SOURCES}", f"-I{STAND_IN}"]
    words += [f"-isystem{headers}", f'-DDX_ONNXRUNTIME_LIBRARY="{_ONNXRUNTIME}"']
    with beside(folder) as fresh:
        fresh.mkdir()
        objects = [str(fresh / f"{source.stem}.o") for source in sources]
        for source, made in zip(sources, objects, strict=True):
            run([*compiler, *words, "-c", str(source), "-o", made], environment)
        run([*compiler, "-shared", "-s", *objects, "-o", str(fresh / name)], environment)
        fresh.rename(folder)
    return folder / name
