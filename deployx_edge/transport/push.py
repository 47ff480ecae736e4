"""The host's side of ``dx-agent receive``: files by content, resumed at their byte.

The protocol is in docs/architecture.md. One channel carries the list of hashes in, the
list of what is missing out, then one stream of bytes.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath

from deployx_edge.errors import (
    BundleError,
    DeployxError,
    DeviceStorageError,
    LinkLostError,
    MissingToolError,
    TransportError,
)
from deployx_edge.transport.hashing import file_sha256
from deployx_edge.transport.output import LineBudget, LineReader, read_number
from deployx_edge.transport.ownership import untrusted
from deployx_edge.transport.protocol import Channel, Transport
from deployx_edge.transport.push_answers import Answers

_SLICE_BYTES = 1 << 18
# What a link that breaks may cost at most, however much its buffers would take.
_MOST_ON_THE_WAY_BYTES = 2 << 20
_NOISE_LINES = 200
_MOST_WORDS = 1000
_MOST_FILES = 100_000
_GREETING = ["deployx-receive", "2"]
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

Progress = Callable[[int, int], None]
"""Called with the bytes sent so far and the bytes that this push has to send."""


@dataclass(frozen=True, kw_only=True)
class PushFile:
    """One file of a bundle: ``local`` here, ``name`` (relative, with ``/``) in the bundle."""

    local: Path
    sha256: str
    size: int
    executable: bool
    name: str


@dataclass(frozen=True, kw_only=True)
class PushReport:
    """What a push did. Sizes in bytes; each content counts once, however many files hold it.

    ``total_bytes`` is all content, ``sent_bytes`` what went over the link this time,
    ``resumed_bytes`` what a broken push had left on the board of the files sent now.
    ``replaced`` names files that lay there and were not what their sha256 says.
    """

    total_bytes: int
    sent_bytes: int
    resumed_bytes: int
    skipped_files: int
    sent_files: int
    seconds: float
    replaced: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Need:
    file: PushFile
    offset: int


class _CorruptError(DeployxError):
    """The board's hash of what arrived differs; ``file`` is the one it was about."""

    def __init__(self, text: str, file: PushFile | None) -> None:
        super().__init__(text)
        self.file = file


def install_agent(
    transport: Transport,
    agent: Path,
    *,
    fresh: bool = False,
    on_replaced: Callable[[], None] = lambda: None,
) -> str:
    """Place ``dx-agent`` on the board; its path there. The same agent is not sent again.

    What lies there under its name and is another file is replaced, and ``on_replaced`` is told;
    with ``fresh`` whatever lies there is.
    """
    if not agent.is_file():
        raise MissingToolError(
            f"The agent {agent} is not there.", remedy="Build it: deployx-edge build --target …"
        )
    name = f"dx-agent-{file_sha256(agent)}"
    return transport.put_program(agent, name, fresh=fresh, on_replaced=on_replaced)


def push(
    transport: Transport,
    receiver: Sequence[str],
    bundle_name: str,
    files: Sequence[PushFile],
    on_progress: Progress | None = None,
    *,
    answer_seconds: float = 120.0,
) -> PushReport:
    """Make the board hold ``files`` as the bundle ``bundle_name``.

    ``receiver`` is the whole command there (launcher, ``dx-agent``, ``receive``,
    ``--work``, folder). The bundle of that name stays as it was until all is there.
    ``answer_seconds`` bounds each wait for an answer that is due.

    Raises BundleError where a local file is not what its size and hash promise,
    DeviceStorageError where the board's disk is full or cannot be written,
    LinkLostError where the link breaks; the next push then resumes.
    """
    started = time.monotonic()
    _check(bundle_name, files)
    contents = {file.sha256: file for file in files}
    attempt = _Attempt(transport, receiver, on_progress or _ignore, answer_seconds)
    try:
        needs, sent = attempt.run(bundle_name, files, contents)
    except _CorruptError as first:
        _require_unchanged(first)
        try:
            needs, sent = attempt.run(bundle_name, files, contents)
        except _CorruptError as second:
            _require_unchanged(second)
            raise LinkLostError(
                f"What was sent to {transport.uri} arrived damaged twice ({second.message}).",
                remedy="Check the board's disk and memory.",
            ) from second
    needed = {need.file.sha256 for need in needs}
    sent_files = sum(file.sha256 in needed for file in files)
    return PushReport(
        total_bytes=sum(file.size for file in contents.values()),
        sent_bytes=sent,
        resumed_bytes=sum(need.offset for need in needs),
        skipped_files=len(files) - sent_files,
        sent_files=sent_files,
        seconds=time.monotonic() - started,
        replaced=tuple(file.name for file in files if file.sha256 in attempt.damaged),
    )


class _Attempt:
    """One conversation with the receiver; ``run`` may be called again for another."""

    def __init__(
        self,
        transport: Transport,
        receiver: Sequence[str],
        on_progress: Progress,
        answer_seconds: float,
    ) -> None:
        self._transport = transport
        self._receiver = tuple(receiver)
        self._on_progress = on_progress
        self._answer_seconds = answer_seconds
        self.damaged: set[str] = set()
        """The sha256 of contents that lay on the board and were something else."""

    def run(
        self, bundle_name: str, files: Sequence[PushFile], contents: dict[str, PushFile]
    ) -> tuple[list[_Need], int]:
        """What the board needed, and the bytes sent."""
        channel = self._transport.stream(self._receiver)
        try:
            lines = LineReader(channel)
            # A receiver that ended may have said why, and its word is worth more.
            with contextlib.suppress(LinkLostError):
                channel.write(_offer(bundle_name, files))
            needs, free = self._read_needs(channel, lines, contents)
            expected = [need.file.sha256 for need in needs]
            answers = Answers(lines, expected, _missing(needs))
            sent = self._send(channel, needs, answers)
            self._finish(channel, answers, free, needs)
            if sent != _missing(needs):
                raise TransportError("The receiver said 'done' before it had all bytes.")
            return needs, sent
        finally:
            channel.close()

    def _read_needs(
        self, channel: Channel, lines: LineReader, contents: dict[str, PushFile]
    ) -> tuple[list[_Need], int]:
        """The board's answer to the offer: what it lacks, and its free bytes."""
        free: int | None = None
        needs: list[_Need] = []
        lacking = dict(contents)
        budget = LineBudget(_MOST_FILES)
        noise = 0
        while (line := lines.next(self._answer_seconds)) is not None:
            words = line.split(" ")
            if words[0] == "error":
                raise self._error(line, None, -1 if free is None else free, _missing(needs))
            if words[0] == "checking" and budget.take():
                continue  # It hashes what it has, and lives.
            if free is None:
                if len(words) == 3 and words[:2] == _GREETING:
                    free = read_number(words[2])
                # What a login script prints before is passed over, within reason.
                if free is None and (noise := noise + 1) > _NOISE_LINES:
                    raise TransportError(
                        f"The receiver on {self._transport.uri} was to answer, and other text "
                        f"comes without end: {line[:200]!r}."
                    )
                continue
            if line == "end":
                return needs, free
            if words[0] == "damaged" and words[-1] in contents and budget.take():
                self.damaged.add(words[-1])
            else:
                needs.append(_read_need(line, lacking))
        raise self._no_answer(channel)

    def _send(self, channel: Channel, needs: Sequence[_Need], answers: Answers) -> int:
        """Stream what is missing; the bytes sent. Ends early where the board ended."""
        total = _missing(needs)
        sent = 0
        self._on_progress(0, total)
        for chunk in chain.from_iterable(map(_slices, needs)):
            due = sent + len(chunk) - _MOST_ON_THE_WAY_BYTES
            if not answers.wait_for_arrival(due, self._answer_seconds):
                raise self._silent(f"was sent {sent} bytes and did not say that they arrived")
            if answers.ended or not self._taken(partial(channel.write, chunk), answers):
                return sent
            sent += len(chunk)
            self._on_progress(sent, total)
        self._taken(channel.close_input, answers)
        return sent

    def _taken(self, give: Callable[[], None], answers: Answers) -> bool:
        """Whether the link took it; False where the receiver has ended.

        It may have said why, and its word is worth more than a broken pipe.
        """
        try:
            give()
        except LinkLostError:
            if not answers.wait_for_end(self._answer_seconds) or answers.broken:
                raise
            return False
        return True

    def _finish(
        self, channel: Channel, answers: Answers, free: int, needs: Sequence[_Need]
    ) -> None:
        """Wait for the last answers; each starts the clock anew."""
        if not answers.wait_for_end(self._answer_seconds):
            raise self._silent("took all bytes and then gave no answer")
        if answers.broken is not None:
            raise answers.broken
        if answers.error:
            awaited = answers.awaited()
            file = next((need.file for need in needs if need.file.sha256 == awaited), None)
            raise self._error(answers.error, file, free, _missing(needs))
        if not answers.done:
            raise self._no_answer(channel)

    def _error(self, line: str, file: PushFile | None, free: int, needed: int) -> DeployxError:
        """The exception for ``error CODE TEXT``."""
        _, code, text = [*line[:_MOST_WORDS].split(" ", 2), "", ""][:3]
        where = self._transport.uri
        if code == "corrupt":
            return _CorruptError(text, file)
        if code == "no-space":
            sizes = f" (this push needs {needed} bytes, {free} were free)" if free >= 0 else ""
            return DeviceStorageError(
                f"The disk of {where} is full: {text}{sizes}.",
                remedy='Make room there, or name another folder with work_folder = "…".',
            )
        if code == "read-only":
            return DeviceStorageError(
                f"The work folder on {where} cannot be written: {text}.",
                remedy='Name another folder with work_folder = "…".',
            )
        if code == "untrusted":
            folder = self._transport.work_folder
            return untrusted(folder, where, text)
        return TransportError(f"The receiver on {where} refused the push ({code}): {text}.")

    def _silent(self, what: str) -> LinkLostError:
        return LinkLostError(
            f"The receiver on {self._transport.uri} {what} for {self._answer_seconds:g} seconds.",
            remedy="Check the board's disk.",
        )

    def _no_answer(self, channel: Channel) -> DeployxError:
        """The receiver ended without a word of the protocol."""
        code = channel.wait(self._answer_seconds)
        tail = channel.error_tail()
        return TransportError(
            f"{' '.join(self._receiver)} on {self._transport.uri} ended with exit code {code} "
            "before the push was done" + (f": {tail}" if tail else "."),
            remedy="Push again; what arrived is not sent twice.",
        )


def _check(bundle_name: str, files: Sequence[PushFile]) -> None:
    """BundleError for what the protocol cannot carry or what is not as promised."""
    if not _NAME.fullmatch(bundle_name) or bundle_name in (".", ".."):
        raise BundleError(
            f"The bundle name '{bundle_name}' must be 1 to 128 letters, digits, '.', '_' and '-'."
        )
    if len(files) > _MOST_FILES:
        raise BundleError(f"A bundle has at most {_MOST_FILES} files, found {len(files)}.")
    for file in files:
        path = PurePosixPath(file.name)
        unsafe = path.is_absolute() or ".." in path.parts or not path.parts
        if unsafe or not file.name.isprintable():
            raise BundleError(f"The file name '{file.name!r}' must be a relative path inside.")
        if not _SHA256.fullmatch(file.sha256):
            raise BundleError(f"'{file.sha256}' of {file.name} is not a sha256.")
        try:
            size = file.local.stat().st_size
        except OSError as error:
            raise BundleError(f"{file.local} cannot be read: {error.strerror}.") from error
        if size != file.size:
            raise _changed(file, f"it should have {file.size} bytes, found {size}")


def _offer(bundle_name: str, files: Sequence[PushFile]) -> bytes:
    lines = [" ".join(_GREETING), f"bundle {bundle_name}"]
    for file in files:
        mode = "x" if file.executable else "-"
        lines.append(f"file {file.sha256} {file.size} {mode} {file.name}")
    return "\n".join([*lines, "end", ""]).encode()


def _read_need(line: str, lacking: dict[str, PushFile]) -> _Need:
    """What the board asks for, which leaves ``lacking``: each content is asked for once."""
    words = line.split(" ")
    file = lacking.pop(words[1], None) if len(words) == 3 and words[0] == "need" else None
    offset = read_number(words[2]) if file else None
    if file is None or offset is None or offset > file.size:
        raise TransportError(f"The receiver gave an unexpected answer: {line[:200]!r}.")
    return _Need(file, offset)


def _slices(need: _Need) -> Iterator[memoryview]:
    """The bytes of a file from the offset; BundleError when it is not what it was."""
    left = need.file.size - need.offset
    buffer = memoryview(bytearray(min(_SLICE_BYTES, max(left, 1))))
    try:
        with need.file.local.open("rb", buffering=0) as source:
            before = os.fstat(source.fileno())
            source.seek(need.offset)
            while left:
                count = source.readinto(buffer[:left])
                if not count:
                    raise _changed(need.file, f"it ended {left} bytes early")
                left -= count
                yield buffer[:count]
            after = os.fstat(source.fileno())
    except OSError as error:
        raise BundleError(f"{need.file.local} cannot be read: {error.strerror}.") from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise _changed(need.file, "it was written to meanwhile")


def _require_unchanged(corrupt: _CorruptError) -> None:
    """BundleError where the damage is in the local file rather than on the way."""
    if corrupt.file is not None and file_sha256(corrupt.file.local) != corrupt.file.sha256:
        raise _changed(corrupt.file, "its sha256 is another") from corrupt


def _changed(file: PushFile, how: str) -> BundleError:
    return BundleError(
        f"{file.local} is not the file that the bundle was made of: {how}.",
        remedy="Make the bundle again.",
    )


def _missing(needs: Sequence[_Need]) -> int:
    return sum(need.file.size - need.offset for need in needs)


def _ignore(sent: int, total: int) -> None:
    """No progress is shown."""
