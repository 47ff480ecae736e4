"""What an Android board says about itself. Asking is one command; reading it is pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deployx_edge.transport.output import answer_text, read_number
from deployx_edge.transport.protocol import Transport

# One command, so that a slow link is waited for once. Each part goes below its own mark;
# what a board does not have leaves an empty part.
_MARK = "deployx-part"
_ASK = f"""
part() {{ echo; echo "{_MARK} $1"; shift; "$@" 2> /dev/null < /dev/null; }}
zones() {{
  for zone in /sys/class/thermal/thermal_zone*; do
    [ -r "$zone/temp" ] && echo "$(cat "$zone/type") $(cat "$zone/temp")"
  done
}}
part properties getprop
part page_bytes getconf PAGESIZE
part battery dumpsys battery
part power dumpsys power
part low_power settings get global low_power
part zones zones
"""
_ASK_SECONDS = 30.0

_PROPERTY = re.compile(r"^\[([^\]\n]+)\]: \[(.*)\]$", re.MULTILINE)
_CHARGING = {1: "unknown", 2: "charging", 3: "discharging", 4: "not charging", 5: "full"}


@dataclass(frozen=True, kw_only=True)
class ThermalZone:
    """A sensor of the board by the name that its kernel gives it, in degrees Celsius."""

    name: str
    celsius: float


@dataclass(frozen=True, kw_only=True)
class AndroidFacts:
    """What the board told; None for what it did not.

    ``api_level`` is ``ro.build.version.sdk``, ``abis`` best first, ``page_bytes`` the size of
    the kernel's pages, ``battery_percent`` 0 to 100, ``charging`` one of charging,
    discharging, not charging, full, unknown (BatteryManager's BATTERY_STATUS constants),
    ``power_save`` the battery saver.
    """

    manufacturer: str | None
    model: str | None
    soc: str | None
    android_version: str | None
    api_level: int | None
    abis: tuple[str, ...]
    page_bytes: int | None
    battery_percent: float | None
    charging: str | None
    battery_celsius: float | None
    screen_on: bool | None
    power_save: bool | None
    thermal_zones: tuple[ThermalZone, ...]


def android_facts(transport: Transport) -> AndroidFacts | None:
    """Ask the board; None where it is not Android. Raises what ``Transport.run`` raises."""
    if transport.system() != "android":
        return None
    done = transport.run(["sh", "-c", _ASK], timeout=_ASK_SECONDS)
    return read_facts(answer_text(done))


def facts_table(facts: AndroidFacts) -> list[tuple[str, str]]:
    """Names and values for people, without what the board did not tell."""
    maker = " ".join(word for word in (facts.manufacturer, facts.model) if word)
    version = f"Android {facts.android_version}" if facts.android_version else None
    if facts.api_level is not None:
        version = f"{version or 'Android'}, API level {facts.api_level}"
    battery = [
        f"{facts.battery_percent:g} %" if facts.battery_percent is not None else "",
        facts.charging or "",
        f"{facts.battery_celsius:g} °C" if facts.battery_celsius is not None else "",
    ]
    rows = [
        ("model", maker),
        ("SoC", facts.soc),
        ("system", version),
        ("ABIs", ", ".join(facts.abis)),
        ("page size", f"{facts.page_bytes >> 10} KiB" if facts.page_bytes else None),
        ("battery", ", ".join(word for word in battery if word)),
        ("screen", _either(facts.screen_on, "on", "off")),
        ("power saving", _either(facts.power_save, "on", "off")),
        *((f"zone {zone.name}", f"{zone.celsius:g} °C") for zone in facts.thermal_zones),
    ]
    return [(name, value) for name, value in rows if value]


def read_facts(answer: str) -> AndroidFacts:
    """From what the board answered: the output of each command below its mark."""
    parts = _parts(answer)
    properties = dict(_PROPERTY.findall(parts.get("properties", "").replace("\r", "")))
    battery = _fields(parts.get("battery", ""), ":")
    power = _fields(parts.get("power", ""), "=")
    level, scale = _number(battery.get("level")), _number(battery.get("scale")) or 100
    tenths = _number(battery.get("temperature"))
    status = _number(battery.get("status"))
    return AndroidFacts(
        manufacturer=_first(properties, "ro.product.manufacturer", "ro.product.brand"),
        model=_first(properties, "ro.product.model"),
        soc=_soc(properties),
        android_version=_first(properties, "ro.build.version.release"),
        api_level=_number(properties.get("ro.build.version.sdk")),
        abis=_abis(properties),
        page_bytes=_number(parts.get("page_bytes")),
        battery_percent=None if level is None else 100.0 * level / scale,
        charging=None if status is None else _CHARGING.get(status, "unknown"),
        battery_celsius=None if tenths is None else tenths / 10,
        screen_on=_screen(power),
        power_save=_flag(parts.get("low_power", "").strip()),
        thermal_zones=_zones(parts.get("zones", "")),
    )


def _parts(text: str) -> dict[str, str]:
    """What stands below each mark."""
    found: dict[str, str] = {}
    for piece in re.split(rf"^{_MARK} ", text, flags=re.MULTILINE)[1:]:
        name, _, content = piece.partition("\n")
        found[name.strip()] = content.strip()
    return found


def _fields(text: str, sign: str) -> dict[str, str]:
    """``name: value`` or ``name=value`` lines; of several of one name the first."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition(sign)
        if separator and name not in found:
            found[name] = value.strip()
    return found


def _first(properties: dict[str, str], *names: str) -> str | None:
    return next((properties[name] for name in names if properties.get(name)), None)


def _soc(properties: dict[str, str]) -> str | None:
    """Since Android 12 by its own properties; before by the platform's code name."""
    model = _first(properties, "ro.soc.model")
    if model is None:
        return _first(properties, "ro.board.platform", "ro.hardware")
    maker = _first(properties, "ro.soc.manufacturer")
    return f"{maker} {model}" if maker else model


def _abis(properties: dict[str, str]) -> tuple[str, ...]:
    listed = _first(properties, "ro.product.cpu.abilist", "ro.product.cpu.abi") or ""
    return tuple(word for word in listed.split(",") if word)


def _screen(power: dict[str, str]) -> bool | None:
    """By the display's own state where it is told, else by whether the device is awake."""
    if "Display Power: state" in power:
        return power["Display Power: state"].startswith("ON")
    awake = power.get("mWakefulness")
    return None if awake is None else awake in ("Awake", "Dreaming")


def _zones(text: str) -> tuple[ThermalZone, ...]:
    """The kernel tells thousandths of a degree; some vendors' zones tell whole degrees."""
    zones = []
    for line in text.splitlines():
        name, _, value = line.strip().rpartition(" ")
        number = _number(value)
        if name and number is not None:
            celsius = number / 1000 if abs(number) >= 1000 else float(number)
            zones.append(ThermalZone(name=name, celsius=celsius))
    return tuple(zones)


def _number(text: str | None) -> int | None:
    return read_number((text or "").strip(), signed=True)


def _flag(text: str) -> bool | None:
    return {"0": False, "1": True}.get(text)


def _either(value: bool | None, yes: str, no: str) -> str | None:
    return None if value is None else yes if value else no
