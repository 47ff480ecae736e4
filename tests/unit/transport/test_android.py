"""What is read from an Android board's answers."""

from __future__ import annotations

from deployx_edge.transport.adb.android import ThermalZone, facts_table, read_facts
from deployx_edge.transport.mounts import mount_of

# The forms are those of Android 14's getprop, dumpsys and settings.
ANSWER = """
deployx-part properties
[ro.board.platform]: [gs101]
[ro.build.version.release]: [14]
[ro.build.version.sdk]: [34]
[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a,armeabi]
[ro.product.manufacturer]: [Google]
[ro.product.model]: [Pixel 6]
[ro.soc.manufacturer]: [Google]
[ro.soc.model]: [Tensor]

deployx-part page_bytes
16384

deployx-part battery
Current Battery Service state:
  AC powered: false
  USB powered: true
  status: 2
  health: 2
  present: true
  level: 40
  scale: 80
  voltage: 4100
  temperature: 315

deployx-part power
POWER MANAGER (dumpsys power)
  mWakefulness=Awake
  mWakefulnessChanging=false
Display Power: state=OFF

deployx-part low_power
1

deployx-part zones
BIG 44500
battery 31
with space 40000
broken
"""


def test_all_facts() -> None:
    facts = read_facts(ANSWER)
    assert (facts.manufacturer, facts.model, facts.soc) == ("Google", "Pixel 6", "Google Tensor")
    assert (facts.android_version, facts.api_level) == ("14", 34)
    assert facts.abis == ("arm64-v8a", "armeabi-v7a", "armeabi")
    assert facts.page_bytes == 16384
    assert (facts.battery_percent, facts.charging, facts.battery_celsius) == (
        50.0,
        "charging",
        31.5,
    )
    assert (facts.screen_on, facts.power_save) == (False, True)
    assert facts.thermal_zones == (
        ThermalZone(name="BIG", celsius=44.5),
        ThermalZone(name="battery", celsius=31.0),
        ThermalZone(name="with space", celsius=40.0),
    )
    rows = dict(facts_table(facts))
    assert rows["model"] == "Google Pixel 6"
    assert rows["system"] == "Android 14, API level 34"
    assert rows["page size"] == "16 KiB"
    assert rows["battery"] == "50 %, charging, 31.5 °C"


def test_a_board_that_tells_nothing() -> None:
    facts = read_facts("")
    assert facts.model is None
    assert facts.abis == ()
    assert facts.battery_percent is None
    assert facts.screen_on is None
    assert facts.power_save is None
    assert facts_table(facts) == []


def test_an_older_board() -> None:
    """Before Android 12 there is no ro.soc; a missing setting is the word null."""
    facts = read_facts(
        "deployx-part properties\r\n[ro.board.platform]: [msm8998]\r\n"
        "deployx-part power\n  mWakefulness=Asleep\ndeployx-part low_power\nnull\n"
    )
    assert facts.soc == "msm8998"
    assert facts.screen_on is False
    assert facts.power_save is None


MOUNTS = """\
/dev/root / ext4 ro,seclabel,relatime 0 0
/dev/block/dm-9 /data f2fs rw,nosuid,nodev,noatime 0 0
/dev/fuse /storage/emulated fuse rw,nosuid,nodev,noexec,noatime 0 0
/dev/block/sd1 /mnt/with\\040space vfat rw,noexec 0 0
tmpfs /data/tmp tmpfs rw,noexec 0 0
tmpfs /data/tmp tmpfs rw 0 0
"""


def test_the_mount_that_holds_a_path() -> None:
    assert mount_of(MOUNTS, "/data/local/tmp/x") == ("/data", "rw,nosuid,nodev,noatime")
    assert mount_of(MOUNTS, "/storage/emulated/0") == (
        "/storage/emulated",
        "rw,nosuid,nodev,noexec,noatime",
    )
    assert mount_of(MOUNTS, "/mnt/with space/x") == ("/mnt/with space", "rw,noexec")
    assert mount_of(MOUNTS, "/database") == ("/", "ro,seclabel,relatime")
    assert mount_of(MOUNTS, "/data/tmp/x") == ("/data/tmp", "rw")
    assert mount_of("", "/x") is None
