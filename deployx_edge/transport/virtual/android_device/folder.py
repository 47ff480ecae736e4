"""The folder in which a virtual Android device has its files."""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path

_HERE = Path(__file__).parent
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
# Places of the device that its shell finds in the folder. All others are this computer's.
_PLACES = ("/data/local/tmp", _BOOT_ID, "/sys/class/thermal")
_PLACE = re.compile(rf"(?<![\w./-])({'|'.join(map(re.escape, _PLACES))})(?![\w.-])")
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")
_ZONES = (("soc-thermal", "41000"), ("battery", "29000"))


class DeviceFolder:
    """A folder that stands for ``/`` in a few places.

    It keeps its content, boot id included, from one process to the next: a process that
    ends is a cable that was pulled.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        (self.root / "data/local/tmp").mkdir(parents=True, exist_ok=True)
        self._alias = _alias(self.root)
        self._write_zones()
        self._copy_programs()
        if not self._inside(_BOOT_ID).is_file():
            self.boot()

    @property
    def programs(self) -> Path:
        """The folder of the device's own commands."""
        return self.root / "system/bin"

    def boot(self) -> None:
        """A new boot id."""
        self._replace(self._inside(_BOOT_ID), f"{uuid.uuid4()}\n")

    def place(self, path: str) -> Path:
        """Where a path of the device lies on this computer."""
        return Path(self.translate(path))

    def translate(self, text: str) -> str:
        """A shell command, or a path, with the device's own places led into the folder."""
        return _PLACE.sub(lambda found: f"{self._alias}{found[1]}", text)

    def _inside(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _write_zones(self) -> None:
        for number, (kind, millidegrees) in enumerate(_ZONES):
            zone = self._inside(f"/sys/class/thermal/thermal_zone{number}")
            zone.mkdir(parents=True, exist_ok=True)
            self._replace(zone / "type", f"{kind}\n")
            self._replace(zone / "temp", f"{millidegrees}\n")

    def _copy_programs(self) -> None:
        self.programs.mkdir(parents=True, exist_ok=True)
        for source in (_HERE / "system_bin").iterdir():
            place = self.programs / source.name
            self._replace(place, source.read_text(encoding="utf-8"), mode=0o755)

    @staticmethod
    def _replace(place: Path, text: str, mode: int = 0o644) -> None:
        """Two processes may stand on one folder: each sees whole files.

        What is there already stays: to rename a file over another waits for the disk.
        """
        if _is_there(place, text, mode):
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(mode)
        temporary.replace(place)


def _is_there(place: Path, text: str, mode: int) -> bool:
    try:
        return place.read_text(encoding="utf-8") == text and place.stat().st_mode & 0o777 == mode
    except (OSError, ValueError):
        return False


def _alias(root: Path) -> Path:
    """A name of ``root`` that needs no quotes in a shell command, wherever it is put in.

    For most folders their own. Else this process makes it its current folder, which has a plain
    name as long as the process lives.
    """
    if _PLAIN.fullmatch(str(root)):
        return root
    os.chdir(root)
    return Path(f"/proc/{os.getpid()}/cwd")
