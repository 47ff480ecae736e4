"""The compiler wrapper's translation of GCC's -march, by the real shell script."""

from __future__ import annotations

import subprocess

import pytest

from tests.integration.crossbuild.compiling import TOOLCHAINS

_TABLE = {
    "armv8-a": "generic",
    "armv8.2-a+fp16": "generic+v8_2a+fullfp16",
    "armv8.2-a+dotprod": "generic+v8_2a+dotprod",
    "armv8.2-a+fp16+fp16fml": "generic+v8_2a+fullfp16+fp16fml",
    "armv8.4-a+fp16+dotprod+bf16": "generic+v8_4a+fullfp16+dotprod+bf16",
    "armv8.4-a+fp16+dotprod+i8mm": "generic+v8_4a+fullfp16+dotprod+i8mm",
    "armv8.6-a+fp16+dotprod+sve2": "generic+v8_6a+fullfp16+dotprod+sve2",
    "armv8.6-a+fp16+dotprod+sve+f32mm": "generic+v8_6a+fullfp16+dotprod+sve+f32mm",
    "armv8-a+crc+crypto": "generic+crc+aes+sha2",
    "armv8-a+nofp": "generic-fp",
    "armv8-a+simd": "generic+neon",
    "armv9-a": "generic+v9a",
    "armv9.2-a+sve2": "generic+v9_2a+sve2",
    "rv64gc": "baseline_rv64",
    "rv64gcv": "baseline_rv64+v",
    "rv64gcv_zfh_zvfh": "baseline_rv64+v+zfh+zvfh",
    "rv64gc_zfh": "baseline_rv64+zfh",
    "rv32gcv": "baseline_rv32+v",
}


@pytest.fixture
def recorder(tmp_path):
    """A zig that writes down its words, one a line."""
    zig = tmp_path / "zig"
    zig.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    zig.chmod(0o755)

    def words(*arguments, program="zig-cc"):
        script = TOOLCHAINS / "bin" / program
        done = subprocess.run(
            [script, f"--zig={zig}", *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    return words


@pytest.mark.parametrize(("march", "mcpu"), _TABLE.items())
def test_gcc_spellings_become_zigs(recorder, march, mcpu):
    words = recorder("-O3", f"-march={march}", "-c", "a.c")
    assert words[-4:] == ["-O3", f"-mcpu={mcpu}", "-c", "a.c"]


def test_what_zig_has_no_word_for_is_left_alone(recorder):
    assert recorder("-march=native", "-O2")[-2:] == ["-march=native", "-O2"]
    assert "-march=skylake" in recorder("-march=skylake")


def test_other_words_pass_through_untouched(recorder):
    odd = ['-DTEXT="a b"', "-I/a folder", "*", "", "-O1", "-mavx2"]
    assert recorder("-march=armv8-a", *odd)[-6:] == odd
    assert recorder(*odd)[-6:] == odd


def test_without_o_the_optimised_libraries_are_linked(recorder):
    assert "-O2" in recorder("a.o", "-o", "a")
    assert "-O2" not in recorder("-O0", "a.c")


@pytest.mark.parametrize(
    ("units", "mcpu"),
    [
        ((), "generic+v7a+neon"),
        (("-mfpu=neon",), "generic+v7a+neon"),
        (("-mfpu=neon-vfpv4",), "generic+v7a+neon+vfp4"),
        (("-mfpu=neon", "-mfpu=neon-vfpv4"), "generic+v7a+neon+vfp4"),
        (("-mfpu=neon-vfpv4", "-mfpu=neon"), "generic+v7a+neon"),
    ],
)
@pytest.mark.parametrize("program", ["linux-armv7-cc", "linux-armv7-c++"])
def test_32_bit_arm_has_neon_and_the_last_unit_that_is_named(recorder, units, mcpu, program):
    words = recorder("-O3", *units, "-DTEXT=a b", "a.c", program=program)
    assert words[0] == program.rpartition("-")[2]
    assert [word for word in words if word.startswith(("-mcpu", "-mfpu"))] == [f"-mcpu={mcpu}"]
    assert words[-3:] == ["-O3", "-DTEXT=a b", "a.c"]


def test_both_languages_start_their_driver(recorder):
    assert recorder("a.c", program="zig-cc")[0] == "cc"
    assert recorder("a.cpp", program="zig-c++")[0] == "c++"
