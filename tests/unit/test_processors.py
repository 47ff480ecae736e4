"""How much of this computer is ours, from files as kernels write them."""

import os

import pytest

from deployx_edge.processors import free_cores, processor_quota, usable_processors


def write(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n")


def version_2(root, outer, inner):
    write(root, "proc/self/cgroup", "0::/team/job")
    write(root, "proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 c rw")
    write(root, "sys/fs/cgroup/team/cpu.max", outer)
    write(root, "sys/fs/cgroup/team/job/cpu.max", inner)


def version_1(root, quota, path="/docker/abc", top="/docker/abc"):
    write(root, "proc/self/cgroup", f"5:cpuset:/\n4:cpu,cpuacct:{path}\n1:name=systemd:/\n0::/")
    mounted = f"40 32 0:31 {top} /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct"
    write(root, "proc/self/mountinfo", mounted)
    write(root, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", quota)
    write(root, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000")


@pytest.mark.parametrize(
    ("outer", "inner", "quota"),
    [
        ("150000 100000", "max 100000", 1.5),
        ("150000 100000", "50000 100000", 0.5),
        ("max 100000", "max 100000", None),
        *(("max 100000", broken, None) for broken in ("", "max", "10 0", "-5 100", "x y")),
    ],
)
def test_the_tightest_group_above_decides(tmp_path, outer, inner, quota):
    assert processor_quota(tmp_path) is None
    version_2(tmp_path, outer, inner)
    assert processor_quota(tmp_path) == quota


@pytest.mark.parametrize(
    ("path", "top"),
    [("/docker/abc", "/docker/abc"), ("/", "/"), ("/../outside", "/"), ("/else", "/docker/abc")],
)
def test_version_1_is_found_through_the_mount_of_its_part(tmp_path, path, top):
    version_1(tmp_path, "250000", path, top)
    assert processor_quota(tmp_path) == 2.5
    version_1(tmp_path, "-1", path, top)
    assert processor_quota(tmp_path) is None


def test_hardware_threads_of_a_core_count_once_and_a_quota_takes_all_but_one(tmp_path):
    processors = sorted(os.sched_getaffinity(0))
    assert free_cores(tmp_path) == usable_processors(tmp_path) == len(processors)
    for processor in processors:
        folder = f"sys/devices/system/cpu/cpu{processor}/topology"
        write(tmp_path, f"{folder}/thread_siblings_list", "0-63")
    assert free_cores(tmp_path) == 1
    assert usable_processors(tmp_path) == len(processors)
    version_2(tmp_path, "max 100000", "20000 100000")
    assert free_cores(tmp_path) == usable_processors(tmp_path) == 1


def test_the_affinity_of_the_process_is_respected():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        assert free_cores() == usable_processors() == 1
    finally:
        os.sched_setaffinity(0, before)
