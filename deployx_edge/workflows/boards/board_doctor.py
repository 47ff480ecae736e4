"""Each thing that a run on a board will need, looked at one by one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone

from deployx_edge.bundle import Bundle
from deployx_edge.crossbuild.finished import Build, BuiltFile
from deployx_edge.device import Device
from deployx_edge.errors import DeployxError, DeviceBusyError, UnfitDeviceError
from deployx_edge.measurement.values import BoardDescription, Conditions
from deployx_edge.progress import Progress, silent
from deployx_edge.target import find_target
from deployx_edge.transport import open_device
from deployx_edge.transport.adb.android import AndroidFacts
from deployx_edge.transport.board import checked_target
from deployx_edge.transport.output import LineBudget, LineReader, read_number
from deployx_edge.transport.protocol import Transport
from deployx_edge.transport.virtual.libraries import LIBRARIES_REMEDY
from deployx_edge.units import period, size
from deployx_edge.worker_facts import worker_facts
from deployx_edge.workflows.boards.chips import files_for_board
from deployx_edge.workflows.boards.crash_log import incidents_of
from deployx_edge.workflows.boards.doctor import Check
from deployx_edge.workflows.boards.preflight import (
    check_emulation,
    check_fit,
    libc_misfit,
    missing_for,
)
from deployx_edge.workflows.boards.session import Session, open_session
from deployx_edge.workflows.build.built import built

# A model, a worker and what they need while they run; less is worth a word.
_LITTLE_DISK = 64 << 20
_LITTLE_MEMORY = 128 << 20
_HOT = 70.0
# Of the agent while it hashes what lies on the board: it says each second how far it is.
_HASH_SECONDS = 60.0
_LITTLE_BATTERY = 20.0
_MOST_SKEW_SECONDS = 120.0
_MOST_CONTENTS = 10_000
_SHA256_DIGITS = 64
# The year 9999, where Python's dates end; before 1970 as far.
_LAST_DATE = 253402300799
_DATE_BYTES = 64
# What makes half floats, and what makes int8 fast, in the words of /proc/cpuinfo.
_HALF = ("asimdhp", "fphp", "zfh", "zvfh", "avx512_fp16", "avx512fp16", "f16c")
_DOT = ("asimddp", "i8mm", "avx512_vnni", "avx_vnni", "avx512vnni", "avxvnni")


def examine_board(
    device: Device, bundle: Bundle | None = None, *, progress: Progress = silent
) -> list[Check]:
    """Every check, in the order in which a run would fail. A link that is not available ends it.

    With ``bundle`` also whether the board can run that one. Brings the agent to the board, as
    a run does; pushes and starts no model.
    """
    with ExitStack() as stack:
        try:
            transport = stack.enter_context(open_device(device))
            checks = [_check("link", True, transport.uri)]
            target = checked_target(transport, device.target)
        except DeployxError as error:
            return [_failed("link", error)]
        checks.append(_check("target", True, f"{target.id} (uname -m: {transport.machine()})"))
        build = built(target)
        checks.append(_binaries(build, target.id))
        checks += _workers(build)
        checks.append(_clock(transport))
        checks += [
            _check("before", False, incident.text, "--force runs it again.", needed=False)
            for incident in incidents_of(transport)
        ]
    try:
        with open_session(device, purpose="doctor", wait=False, progress=progress) as session:
            folder = session.transport.work_folder
            checks.append(_check("work folder", True, f"{folder}, runs programs"))
            checks.append(_lease(session.alone))
            checks.append(_contents(session))
            checks += _board(session.identity.board, session.build, bundle)
            checks += _libraries(session, bundle)
            if bundle is not None:
                checks.append(_bundle(session, bundle))
            checks += _android(session.android, session.build)
    except DeviceBusyError as error:
        checks.append(_failed("lease", error, needed=False))
    except UnfitDeviceError as error:
        checks.append(_failed("API level", error))
    except DeployxError as error:
        checks.append(_failed("agent", error))
    return checks


def _workers(build: Build | None) -> list[Check]:
    """What each worker of the build may be asked for by name."""
    names = sorted(file.runtime for file in build.files if file.role == "worker") if build else []
    facts = [worker_facts(name) for name in names]
    return [
        _check(
            f"{each.name} options",
            True,
            ", ".join(f"{o.name} ({o.expects})" for o in each.options) or "none of its own",
        )
        for each in facts
    ]


def _libraries(session: Session, bundle: Bundle | None) -> Iterator[Check]:
    """What dynamic workers load under our qemu; another runtime may do without."""
    if not session.transport.launcher:
        return
    for file in session.build.files:
        if file.role != "worker" or not file.needed:
            continue
        missing = missing_for(session.target, session.build, file.runtime)
        place = f"{session.target.qemu_libraries or '/'}"
        found = f"{file.name}: {place} lacks {', '.join(missing)}" if missing else ""
        yield _check(
            "libraries",
            not missing,
            found or f"{file.name}: all in {place}",
            LIBRARIES_REMEDY if missing else "",
            needed=bundle is not None and bundle.runtime == file.runtime,
        )


def _contents(session: Session) -> Check:
    """All that lies in the store is hashed there, whatever was hashed before."""
    words = (session.agent_path, "check", "--work", session.transport.work_folder)
    channel = session.transport.stream([*session.transport.launcher, *words])
    damaged: list[str] = []
    untrusted = ""
    try:
        lines, budget = LineReader(channel), LineBudget(_MOST_CONTENTS)
        while (line := lines.next(_HASH_SECONDS)) is not None and budget.take():
            word, _, rest = line.partition(" ")
            if word == "damaged":
                damaged.append(rest[:_SHA256_DIGITS])
            elif word == "untrusted":
                untrusted = rest.partition(" ")[2]
            elif word == "checked" and untrusted:
                return _check("contents", False, untrusted, "Make it yours alone, or remove it.")
            elif word == "checked":
                return _contents_found(rest, damaged)
        return _check("contents", False, channel.error_tail().strip() or "the agent says nothing")
    finally:
        channel.close()


def _contents_found(counted: str, damaged: list[str]) -> Check:
    """``counted`` is the number of contents and that of their bytes."""
    count, _, hashed = counted.partition(" ")
    if not damaged:
        number = read_number(hashed)
        amount = hashed if number is None else size(number)
        return _check("contents", True, f"{count} ({amount}), each is what its sha256 says")
    names = ", ".join(sha256[:16] for sha256 in damaged)
    return _check(
        "contents",
        False,
        f"{len(damaged)} of {count} were damaged and are removed: {names}",
        "The next push brings them; where that happens again, the disk is worn.",
    )


def _lease(alone: str) -> Check:
    """Whether all runs of the board take turns."""
    if not alone:
        return _check("lease", True, "free")
    found = f"free, but only runs with this work folder take turns: {alone}"
    remedy = (
        "Name a folder of root's on the board that all its users may write to, with the sticky "
        'bit (mode 1777): lease_folder = "/…" in deployx.toml.'
    )
    return _check("lease", False, found, remedy, needed=False)


def _bundle(session: Session, bundle: Bundle) -> Check:
    """What a run would refuse before it pushes."""
    try:
        name, launcher = session.device.name, session.transport.launcher
        check_fit(session.identity.board, session.build, bundle, device=name)
        check_emulation(launcher, session.target, session.build, bundle, device=name)
    except DeployxError as error:
        return _failed("bundle", error)
    weights = size(sum(file.size for file in files_for_board(bundle)))
    found = f"{bundle.name}: {bundle.precision} for {bundle.runtime}, {weights}"
    return _check("bundle", True, found)


def _board(board: BoardDescription, build: Build, bundle: Bundle | None) -> Iterator[Check]:
    """What the agent says of the board; of its features those that the bundle can use."""
    yield _enough("disk", board.disk_free_bytes, _LITTLE_DISK, "free in the work folder's disk")
    if board.emulated:
        yield _check("emulated", True, board.emulated_reason or "yes")
        return
    yield _check("chip", bool(board.soc), board.soc or "the board does not tell", needed=False)
    yield _enough("memory", board.memory_available_bytes, _LITTLE_MEMORY, "available")
    yield from _libc(board, build, bundle)
    precision = bundle.precision if bundle else "any"
    if precision != "int8":
        without = "fp16 is stored or computed as fp32"
        yield _features("half floats", board.isa_features, _HALF, without)
    if precision in ("int8", "any"):
        yield _features("int8 dot products", board.isa_features, _DOT, "int8 gains less")
    yield _governor(board.conditions)
    yield _temperature(board.conditions)


def _libc(board: BoardDescription, build: Build, bundle: Bundle | None) -> Iterator[Check]:
    """What each worker of the build needs, with its libraries; those of another processor on the
    board load nothing of its C library. A runtime that the board cannot load is no failure as long
    as another one runs there, and no bundle asks for it."""
    machine = find_target(build.target_id).elf_machine
    own = [file for file in build.files if file.machine == machine]
    misfits = {file.name: misfit for file in own if (misfit := libc_misfit(board, file))}
    unfit = {file.runtime for file in own if file.name in misfits}
    fit = {file.runtime for file in own if file.role == "worker"} - unfit
    for runtime in dict.fromkeys(file.runtime for file in own):
        files = [file for file in own if file.runtime == runtime]
        needed = not runtime or (runtime == bundle.runtime if bundle else not fit)
        for file in files:
            if file.name in misfits:
                yield _check("libc", False, *misfits[file.name], needed=needed)
        if runtime not in unfit:
            found = f"{_files(files)}; the board: {board.libc}"
            yield _check("libc", True, found, needed=needed)


def _files(files: Sequence[BuiltFile]) -> str:
    """A worker, its libraries and what they need: "dx-worker-x and 2 libraries: GLIBC_2.28"."""
    count = len(files) - 1
    more = f" and {count} librar{'y' if count == 1 else 'ies'}" if count else ""
    numbers = {file.libc: [int(n) for n in re.findall(r"\d+", file.libc)] for file in files}
    newest = max(numbers, key=lambda libc: numbers[libc])
    return f"{files[0].name}{more}: {newest}"


def _android(facts: AndroidFacts | None, build: Build) -> Iterator[Check]:
    """Its level against the build's; what makes a phone slower than it is, or ends a long run."""
    if facts is None:
        return
    if facts.api_level is not None:
        libc = "; ".join(dict.fromkeys(file.libc for file in build.files))
        yield _check("API level", True, f"{facts.api_level}; binaries: {libc}")
    if facts.power_save is not None:
        found = "on: clocks are held down" if facts.power_save else "off"
        remedy = "Turn the battery saver off." if facts.power_save else ""
        yield _check("power saving", not facts.power_save, found, remedy, needed=False)
    if facts.battery_percent is not None:
        enough = facts.battery_percent >= _LITTLE_BATTERY or facts.charging in ("charging", "full")
        found = f"{facts.battery_percent:g} %, {facts.charging or 'charging unknown'}"
        remedy = "" if enough else "Phones lower their clocks when the battery is low: charge it."
        yield _check("battery", enough, found, remedy, needed=False)
    if facts.screen_on is not None:
        found = "on" if facts.screen_on else "off: some phones then use their small cores only"
        remedy = "" if facts.screen_on else "adb shell svc power stayon usb"
        yield _check("screen", facts.screen_on, found, remedy, needed=False)


def _check(name: str, present: bool, found: str, remedy: str = "", *, needed: bool = True) -> Check:
    return Check(
        group="board", name=name, present=present, needed=needed, found=found, remedy=remedy
    )


def _failed(name: str, error: DeployxError, *, needed: bool = True) -> Check:
    return _check(name, False, error.message, error.remedy, needed=needed)


def _binaries(build: Build | None, target_id: str) -> Check:
    if build is None:
        command = f"deployx-edge build --target {target_id}"
        return _check("binaries", False, "not built yet", command, needed=False)
    return _check("binaries", True, f"{build.folder} ({build.compiler})")


def _clock(transport: Transport) -> Check:
    """The board's date; only logs and files are dated by it, never a measurement."""
    done = transport.run(["date", "+%s"], timeout=30.0)
    date = read_number(done.stdout[:_DATE_BYTES].decode(errors="replace").strip(), signed=True)
    if done.returncode != 0 or date is None or abs(date) > _LAST_DATE:
        return _check("clock", False, "the board tells no date", needed=False)
    skew = date - time.time()
    shown = datetime.fromtimestamp(date, timezone.utc).isoformat(timespec="seconds")
    if abs(skew) <= _MOST_SKEW_SECONDS:
        return _check("clock", True, shown)
    way = "behind" if skew < 0 else "ahead"
    return _check(
        "clock",
        False,
        f"{shown}, {period(abs(skew))} {way} of this computer",
        "Nothing here depends on it; set it for the board's own logs.",
        needed=False,
    )


def _enough(name: str, found: int | None, least: int, what: str) -> Check:
    if found is None:
        return _check(name, False, "the board does not tell", needed=False)
    remedy = "" if found >= least else f"Less than {size(least)} is {what}: make room."
    return _check(name, found >= least, f"{size(found)} {what}", remedy, needed=False)


def _features(name: str, have: tuple[str, ...], wanted: tuple[str, ...], without: str) -> Check:
    found = [feature for feature in wanted if feature in have]
    return _check(
        name,
        bool(found),
        ", ".join(found) or f"none; {without}",
        needed=False,
    )


def _governor(conditions: Conditions) -> Check:
    if not conditions.governors:
        return _check("clock governor", False, "the board does not tell", needed=False)
    steady = all(governor == "performance" for governor in conditions.governors)
    remedy = "" if steady else "For steady figures: performance in scaling_governor (as root)."
    found = ", ".join(dict.fromkeys(conditions.governors))
    return _check("clock governor", steady, found, remedy, needed=False)


def _temperature(conditions: Conditions) -> Check:
    if not conditions.temperatures:
        return _check("temperature", False, "the board does not tell", needed=False)
    hottest = max(conditions.temperatures, key=lambda reading: reading.value)
    cool = hottest.value < _HOT
    return _check(
        "temperature",
        cool,
        f"{hottest.value:.1f} °C ({hottest.name})",
        "" if cool else "It will throttle soon: let it cool, or give it a fan.",
        needed=False,
    )
