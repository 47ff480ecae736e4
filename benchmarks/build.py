"""What a build costs: cold against the plain CMake builds of the same libraries, no-op, one file.

    .venv/bin/python benchmarks/build.py                       all of it (half an hour on 2 cores)
    .venv/bin/python benchmarks/build.py --only zlib,re2       the cold part for these libraries
    .venv/bin/python benchmarks/build.py --skip-cold           no-op and one file changed

Cold means an empty Conan home, empty build folders and no ccache on either side. Sources are
fetched beforehand, and zig's own C and C++ libraries are compiled beforehand, for both sides
(those for stripped executables: hence -s where an option sets the flags).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deployx_edge import process
from deployx_edge.crossbuild import conan_home, packages
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.selection import select
from deployx_edge.crossbuild.sources import archives, ensure_archives, source_cache
from deployx_edge.crossbuild.toolchain import Toolchain
from deployx_edge.crossbuild.workers import AGENT, worker_part
from deployx_edge.resources import data_folder
from deployx_edge.target import Target, find_target

ROOT = Path(__file__).resolve().parents[1]
COLD_LIMIT, NO_OP_LIMIT, ONE_FILE_LIMIT = 1.15, 1.5, 15.0


@dataclass(frozen=True, kw_only=True)
class Library:
    """How one library is built by hand: the options of its recipe, and what others need of it.

    ``source`` is the folder of CMakeLists.txt below the unpacked archive; where the archive
    has none, ``recipe_files`` is true and the recipe's own is used.
    """

    name: str
    version: str
    archive: str
    options: tuple[str, ...] = ()
    target: str = "install"
    recipe_files: bool = False


_POLICY = "-DCMAKE_POLICY_VERSION_MINIMUM=3.5"
LIBRARIES = (
    Library(
        name="zlib",
        version="1.2.13",
        archive="grpcio-1.51.1.tar.gz",
        options=("-DZLIB_SOURCE={source}/third_party/zlib",),
        recipe_files=True,
    ),
    Library(
        name="re2",
        version="20210901",
        archive="grpcio-1.51.1.tar.gz",
        options=("-DRE2_SOURCE={source}/third_party/re2",),
        recipe_files=True,
    ),
    Library(
        name="c-ares",
        version="1.18.1",
        archive="c-ares_1.18.1.orig.tar.gz",
        options=(_POLICY, "-DCARES_STATIC=ON", "-DCARES_SHARED=OFF", "-DCARES_BUILD_TOOLS=OFF"),
    ),
    Library(
        name="abseil",
        version="20220623.1",
        archive="abseil_20220623.1.orig.tar.gz",
        options=(
            *("-DABSL_ENABLE_INSTALL=ON", "-DABSL_PROPAGATE_CXX_STD=ON", "-DBUILD_TESTING=OFF"),
            "-DCMAKE_CXX_FLAGS=-s -D_LARGEFILE64_SOURCE",
        ),
    ),
    Library(
        name="protobuf",
        version="3.21.12",
        archive="protobuf_3.21.12.orig.tar.gz",
        options=(
            *(_POLICY, "-Dprotobuf_BUILD_TESTS=OFF", "-Dprotobuf_WITH_ZLIB=OFF"),
            "-Dprotobuf_BUILD_PROTOC_BINARIES=OFF",
        ),
        target="libprotobuf",
    ),
    Library(
        name="grpc",
        version="1.51.1",
        archive="grpc_1.51.1.orig.tar.gz",
        options=(
            *(_POLICY, "-DgRPC_INSTALL=OFF", "-DgRPC_BUILD_CODEGEN=OFF"),
            *("-DgRPC_BUILD_CSHARP_EXT=OFF", "-DgRPC_SSL_PROVIDER=none"),
            *(f"-DgRPC_{name}_PROVIDER=package" for name in ("ABSL", "CARES", "RE2", "ZLIB")),
            *("-DgRPC_PROTOBUF_PROVIDER=package", "-DCMAKE_POSITION_INDEPENDENT_CODE=OFF"),
            "-DCMAKE_CXX_FLAGS=-s -Wno-missing-template-arg-list-after-template-kw",
            "-DCMAKE_PREFIX_PATH={prefix}",
            *("-DZLIB_INCLUDE_DIR={prefix}/include", "-DZLIB_LIBRARY={prefix}/lib/libz.a"),
            "-DProtobuf_INCLUDE_DIR={builds}/protobuf/source/src",
            "-DProtobuf_LIBRARY={builds}/protobuf/build/libprotobuf.a",
            "-DProtobuf_PROTOC_LIBRARY={builds}/protobuf/build/libprotobuf.a",
        ),
        target="grpc++_unsecure",
    ),
    Library(
        name="ncnn",
        version="1.0.20261020",
        archive="ncnn-1.0.20261020.tar.gz",
        options=(
            *("-DNCNN_VERSION=20261020", "-DNCNN_VULKAN=OFF", "-DNCNN_SIMPLEOMP=ON"),
            *("-DNCNN_DISABLE_RTTI=OFF", "-DNCNN_DISABLE_EXCEPTION=OFF"),
            *(f"-DNCNN_BUILD_{part}=OFF" for part in ("TOOLS", "EXAMPLES", "BENCHMARK", "TESTS")),
        ),
    ),
)
_NEEDED_BY_GRPC = ("zlib", "re2", "c-ares", "abseil", "protobuf")
_UNUSED_PROTOS = ("envoy-api", "googleapis", "opencensus-proto/src", "xds")
_RE2_CONFIG = """\
add_library(re2::re2 STATIC IMPORTED)
set_target_properties(re2::re2 PROPERTIES
  IMPORTED_LOCATION "{prefix}/lib/libre2.a" INTERFACE_INCLUDE_DIRECTORIES "{prefix}/include")
"""


def main() -> None:
    """Measure, print the ratios, write the JSON; exit code 1 where a limit is passed."""
    words = _arguments()
    target = find_target(words.target)
    result: dict[str, object] = {
        "target": target.id,
        "jobs": words.jobs,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "compiler": select(target, BuildOptions(toolchain="zig")).agent.compiler,
    }
    failed = False
    if not words.skip_cold:
        result["cold"] = cold = measure_cold(target, _chosen(words.only), words.jobs)
        failed |= _say("cold / sum of plain builds", cold["ratio"], COLD_LIMIT, "")
    if not words.only:
        result["no_op_seconds"] = seconds = measure_no_op(target)
        failed |= _say("nothing to do", seconds, NO_OP_LIMIT, " s")
        result["one_file_seconds"] = seconds = measure_one_file(target)
        failed |= _say("one agent source changed", seconds, ONE_FILE_LIMIT, " s")
    Path(words.output).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written to {words.output}")
    sys.exit(1 if failed else 0)


def measure_cold(target: Target, libraries: Sequence[Library], jobs: int) -> dict[str, float]:
    """Seconds of both sides; ``ratio`` is ours through theirs."""
    names = {library.name for library in libraries}
    ensure_archives(a for a in archives() if names & set(a.packages))
    with (
        tempfile.TemporaryDirectory(prefix="deployx-benchmark-") as folder,
        _isolated_cache(Path(folder) / "cache"),
    ):
        scratch = Path(folder)
        toolchain = select(target, BuildOptions(toolchain="zig")).agent
        _warm_zig(toolchain, scratch)
        seconds = {
            f"plain_{library.name}": _timed(_plain(library, toolchain, scratch, jobs))
            for library in libraries
        }
        plain = sum(seconds.values())
        ours = _timed(_conan(libraries, toolchain, jobs, scratch))
    return {**seconds, "plain_seconds": plain, "conan_seconds": ours, "ratio": ours / plain}


def measure_no_op(target: Target) -> float:
    """Median of five runs of the command where everything is up to date."""
    command: list[str | Path] = [
        Path(sys.executable).parent / "deployx-edge",
        "build",
        "--target",
        target.id,
    ]
    _run(command, {})
    times = sorted(_timed(lambda: _run(command, {})) for _ in range(5))
    return times[len(times) // 2]


def measure_one_file(target: Target) -> float:
    """In a copy of the project: build, change one agent source, and time the next build."""
    with tempfile.TemporaryDirectory(prefix="deployx-benchmark-") as folder:
        copy = Path(folder)
        for name in ("deployx_edge", "toolchains", "recipes", "device_agent"):
            shutil.copytree(ROOT / name, copy / name, symlinks=True)
        environment = {"PYTHONPATH": str(copy), "CCACHE_DISABLE": "1"}
        command = [sys.executable, "-m", "deployx_edge", "build", "--target", target.id]
        _run(command, environment, cwd=copy)
        source = copy / "device_agent" / "agent" / "service" / "infer_call.cpp"
        source.write_text(source.read_text() + "\n// One line more.\n")
        seconds = _timed(lambda: _run(command, environment, cwd=copy))
        key = conan_home.folder_key(copy / "device_agent")
        for leftover in (conan_home.conan_home().parent / "build").glob(f"*-{key}*"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        remote = f"recipes-{conan_home.folder_key(copy / 'recipes')}"
        _run([conan_home.conan_program(), "remote", "remove", remote], conan_home.environment())
    return seconds


@contextmanager
def _isolated_cache(cache: Path) -> Iterator[None]:
    """A cache of its own, which has the sources and nothing else."""
    sources = source_cache()
    cache.mkdir()
    (cache / "sources").symlink_to(sources)
    name = "DEPLOYX_EDGE_CACHE"
    before = os.environ.get(name)
    os.environ[name] = str(cache)
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _environment(toolchain: Toolchain, objects: Path) -> dict[str, str]:
    """The toolchain's, without ccache, and with an empty cache of zig's objects."""
    kept = {name: text for name, text in toolchain.environment if "LAUNCHER" not in name}
    return {**kept, "CCACHE_DISABLE": "1", "ZIG_LOCAL_CACHE_DIR": str(objects)}


def _warm_zig(toolchain: Toolchain, scratch: Path) -> None:
    source = scratch / "warm.cpp"
    source.write_text("#include <string>\nint main() { return std::string().size(); }\n")
    project = scratch / "warm"
    project.mkdir()
    shutil.move(source, project / "warm.cpp")
    (project / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(w C CXX)\nadd_executable(w warm.cpp)\n"
    )
    environment = _environment(toolchain, scratch / "warm-objects")
    _configure(toolchain, environment, project, project / "build", ())
    _run([_tool("cmake"), "--build", project / "build"], environment)


def _plain(library: Library, toolchain: Toolchain, scratch: Path, jobs: int) -> Callable[[], None]:
    """Unpack, configure, compile, install, as the library's own instructions say."""
    builds, prefix = scratch / "plain", scratch / "prefix"
    source, build = builds / library.name / "source", builds / library.name / "build"
    places = {"source": source, "prefix": prefix, "builds": builds}
    options = [option.format(**places) for option in library.options]
    environment = _environment(toolchain, scratch / "plain-objects")
    archive = next(a for a in archives() if a.filename == library.archive)
    recipe = data_folder("recipes") / library.name / "all"

    def build_it() -> None:
        _unpack(archive.path, source)
        if library.name == "grpc":
            for name in _UNUSED_PROTOS:
                (source / "third_party" / name).mkdir(parents=True, exist_ok=True)
            config = prefix / "lib" / "cmake" / "re2" / "re2Config.cmake"
            config.parent.mkdir(parents=True, exist_ok=True)
            config.write_text(_RE2_CONFIG.format(prefix=prefix))
        listing = recipe if library.recipe_files else source
        install = f"-DCMAKE_INSTALL_PREFIX={prefix}"
        _configure(toolchain, environment, listing, build, (install, *options))
        goal = ["--target", library.target, "--parallel", str(jobs)]
        _run([_tool("cmake"), "--build", build, *goal], environment)

    return build_it


def _conan(
    libraries: Sequence[Library], toolchain: Toolchain, jobs: int, scratch: Path
) -> Callable[[], None]:
    """What ``deployx-edge build`` runs for its packages, from an empty home."""
    output = scratch / "conan"
    output.mkdir()
    whole = packages.install_command(
        toolchain, output=output, parts=(AGENT, worker_part("ncnn")), jobs=jobs, rebuild=False
    )
    argv = list(whole.argv)
    if len(libraries) < len(LIBRARIES):
        argv = [word for word in argv[:-1] if not word.startswith("--options:host=&")]
        argv += [f"--requires={library.name}/{library.version}" for library in libraries]
    environment = {
        **{name: text for name, text in whole.environment if "LAUNCHER" not in name},
        "CCACHE_DISABLE": "1",
    }

    def build_them() -> None:
        for command in conan_home.setup_commands():
            _run(command.argv, dict(command.environment))
        _run(argv, environment)

    return build_them


def _configure(
    toolchain: Toolchain,
    environment: dict[str, str],
    source: Path,
    build: Path,
    options: Sequence[str],
) -> None:
    shared = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={_tool('ninja')}", "-DCMAKE_BUILD_TYPE=Release"]
    file = f"-DCMAKE_TOOLCHAIN_FILE={toolchain.cmake_file}"
    standard = "-DCMAKE_CXX_STANDARD=17"
    _run(
        [_tool("cmake"), "-S", source, "-B", build, *shared, file, standard, *options], environment
    )


def _unpack(archive: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            member.name = member.name.partition("/")[2]
            if member.name:
                tar.extract(member, folder, filter="data")


def _tool(name: str) -> Path:
    return process.require_program(name, remedy=f"Run 'pip install {name}'.")


def _timed(work: Callable[[], None]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def _run(
    argv: Sequence[str | Path], environment: dict[str, str], *, cwd: Path | None = None
) -> None:
    words = [str(word) for word in argv]
    done = subprocess.run(
        words,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        tail = done.stdout.decode(errors="replace").splitlines()[-20:]
        sys.exit("\n".join([f"failed: {process.format_command(words)}", *tail]))


def _chosen(only: str) -> tuple[Library, ...]:
    names = only.split(",") if only else [library.name for library in LIBRARIES]
    unknown = set(names) - {library.name for library in LIBRARIES}
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}")
    if "grpc" in names:
        names += _NEEDED_BY_GRPC
    return tuple(library for library in LIBRARIES if library.name in names)


def _say(what: str, value: float, limit: float, unit: str) -> bool:
    """Print one figure beside its limit; whether it is passed."""
    print(f"{what}: {value:.2f}{unit} (limit {limit}{unit})")
    return value > limit


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--target", default="linux-arm64")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", metavar="NAMES", help="of the cold part")
    parser.add_argument("--skip-cold", action="store_true")
    parser.add_argument("--output", default="build-benchmark.json", metavar="FILE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
