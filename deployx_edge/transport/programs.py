"""Programs in ``bin/`` of a board's work folder, over a shell: each is the file that its hash says.

One script looks at the folders first, waits until this side has judged who may change them,
hashes what lies there (by ``sha256sum``, or else the program's own ``--self-check``), and takes the
program where that is not what it should be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.errors import DeviceStorageError, LinkLostError, TransportError
from deployx_edge.transport.mounts import why_programs_do_not_run
from deployx_edge.transport.output import LineReader
from deployx_edge.transport.ownership import check_places, listed_places
from deployx_edge.transport.protocol import Channel, Transport

_CHUNK_BYTES = 1 << 20
_NOISE_LINES = 200
# Two for each folder above a program, as it is written, on its way through links, where it lies.
_MOST_FACTS = 4000
# Links in links: each doubles what is looked at.
_MOST_LINKS = 6
_MARK = "deployx-board"

# $1 the bin folder, $2 the file's name, $3 its size or nothing, $4 its sha256, $5 what is wanted
# (look, put, or fresh: whatever lies there), then the launcher's words. Each way out has its own
# exit code.
_SCRIPT = f"""
LC_ALL=C; export LC_ALL
umask 077
folder="$1"; place="$1/$2"; part="$1/.$2.$$"; size="$3"; hash="$4"; wanted="$5"
shift 5
[ "$wanted" = look ] || mkdir -p "$folder" || exit 81
show() {{ echo "{_MARK} path $1"; echo "{_MARK} is $(ls -ldn "$1" 2> /dev/null)"; }}
walk() {{
  at="$1"; links="$2"
  while [ -n "$at" ]; do
    show "$at"
    if [ "$links" -gt 0 ] && [ -L "$at" ] && to=$(readlink "$at"); then
      case "$to" in /*) ;; *) to="${{at%/*}}/$to" ;; esac
      (walk "$to" "$((links - 1))")
    fi
    at="${{at%/*}}"
  done
  show /
}}
echo "{_MARK} own $(id -u 2> /dev/null)"
walk "$place" {_MOST_LINKS}
real=$(cd -P "$folder" 2> /dev/null && pwd -P)
[ -z "$real" ] || [ "$real" = "$folder" ] || walk "$real" 0
echo "{_MARK} judge"
read -r word && [ "$word" = go ] || exit 86
is_it() {{
  file="$1"; shift
  [ -f "$file" ] || return 1
  [ -z "$size" ] || [ "$(($(wc -c < "$file")))" -eq "$size" ] || return 1
  if command -v sha256sum > /dev/null 2>&1; then
    case "$(sha256sum < "$file")" in "$hash"*) return 0 ;; *) return 1 ;; esac
  fi
  "$@" "$file" --self-check "$hash" > /dev/null 2>&1 < /dev/null
}}
if [ "$wanted" != fresh ] && is_it "$place" "$@"; then echo "{_MARK} have"; exit 0; fi
if [ "$wanted" = look ]; then echo "{_MARK} lack"; exit 0; fi
answer=send
[ ! -e "$place" ] || answer=replace
rm -rf "$place"
trap 'rm -f "$part"' EXIT
: > "$part" || exit 81
echo "{_MARK} $answer"
cat > "$part" || exit 82
[ "$(($(wc -c < "$part")))" -eq "$size" ] || exit 83
chmod 755 "$part" || exit 81
"$@" "$part" --version > /dev/null 2>&1 < /dev/null
[ $? -ne 126 ] || exit 84
is_it "$part" "$@" || exit 85
mv -f "$part" "$place" || exit 81
"""
_FAILURES = {
    81: "cannot be written",
    82: "cannot take the program",
    83: "did not get the whole program",
    84: "does not let programs run",
    85: "holds another program than was sent: look at the board's disk and memory",
}
_NO_EXECUTION = 84


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program as ``bin/NAME``; ``local`` is its file here, None where it is only looked for."""

    name: str
    sha256: str
    local: Path | None = None


class _SilentError(LinkLostError):
    """The board hashes, or the program its own file, and does not come to an end."""


class ProgramFolder:
    """``bin/`` of one board; ``is_lost`` says whether the link itself is gone."""

    def __init__(self, link: Transport, answer_seconds: float, is_lost: Callable[[], bool]) -> None:
        self._link = link
        self._seconds = answer_seconds
        self._is_lost = is_lost

    def find(self, program: Program) -> str | None:
        """The path of the program on the board; None where it is not there, or damaged."""
        try:
            answer = self._talk(program, "look")
        except _SilentError:
            return None
        return self._path(program) if answer == "have" else None

    def put(self, program: Program, *, fresh: bool, on_replaced: Callable[[], None]) -> str:
        """Its path once it is there; ``on_replaced`` is told where another file had its name."""
        try:
            answer = self._talk(program, "fresh" if fresh else "put")
        except _SilentError:
            answer = self._talk(program, "fresh")
        if answer == "replace":
            on_replaced()
        return self._path(program)

    def _path(self, program: Program) -> str:
        return f"{self._link.work_folder}/bin/{program.name}"

    def _talk(self, program: Program, wanted: str) -> str:
        """The script's answer: have, lack, send or replace."""
        size = "" if program.local is None else str(program.local.stat().st_size)
        words = [f"{self._link.work_folder}/bin", program.name, size, program.sha256, wanted]
        channel = self._link.stream(["sh", "-c", _SCRIPT, "sh", *words, *self._link.launcher])
        answer = ""
        try:
            answer = self._judge_and_send(channel, program, wanted)
            channel.close_input()
            code = channel.wait(self._seconds)
        except _SilentError:
            raise
        except LinkLostError:
            if self._is_lost():
                raise
            # The command ended early, and its exit code tells why.
            code = channel.wait(self._seconds)
        finally:
            channel.close()
        if code != 0:
            raise self._failed(code, channel.error_tail())
        return answer

    def _judge_and_send(self, channel: Channel, program: Program, wanted: str) -> str:
        lines = LineReader(channel)
        facts: list[tuple[str, str]] = []
        while not facts or facts[-1][0] != "judge":
            facts.append(self._answer(lines))
            if not facts[-1][0]:
                return ""  # Its exit code tells why.
            if len(facts) > _MOST_FACTS:
                raise self._endless()
        places, own = listed_places(facts)
        link = self._link
        android = link.system() == "android"
        check_places(places, own, link.work_folder, link.uri, android=android)
        channel.write(b"go\n")
        try:
            answer, _ = self._answer(lines)
        except LinkLostError as error:
            if self._is_lost() or wanted == "fresh":
                raise
            raise _SilentError(error.message) from error
        if program.local is not None and answer in ("send", "replace"):
            with program.local.open("rb") as source:
                while chunk := source.read(_CHUNK_BYTES):
                    channel.write(chunk)
        return answer

    def _answer(self, lines: LineReader) -> tuple[str, str]:
        """The word after our mark, and the rest; what a login script prints is passed over."""
        for _ in range(_NOISE_LINES):
            line = lines.next(self._seconds)
            if line is None:
                return "", ""
            if line.startswith(f"{_MARK} "):
                word, _, rest = line.removeprefix(f"{_MARK} ").partition(" ")
                return word, rest
        raise self._endless()

    def _endless(self) -> TransportError:
        return TransportError(
            f"The board {self._link.uri} prints without end where an answer was due."
        )

    def _failed(self, code: int, tail: str) -> DeviceStorageError:
        folder = self._link.work_folder
        reason = _FAILURES.get(code, f"gave exit code {code}")
        if code == _NO_EXECUTION:
            reason += f" ({why_programs_do_not_run(self._link, f'{folder}/bin')})"
        return DeviceStorageError(
            f"The work folder {folder} on {self._link.uri} {reason}"
            + (f": {tail.splitlines()[-1]}." if tail else "."),
            remedy='Make room, or name another folder with work_folder = "/…".',
        )
