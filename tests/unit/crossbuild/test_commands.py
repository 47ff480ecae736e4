from __future__ import annotations

from deployx_edge.crossbuild.commands import Command, last_words
from deployx_edge.crossbuild.events import ObjectsCompiled, PackageStarted, SourceReceived
from deployx_edge.crossbuild.packages import without_times


def test_a_command_can_be_pasted():
    command = Command(
        title="Compiling",
        argv=("cmake", "--build", "/a folder"),
        environment=(("DX_ZIG", "/zig"), ("PATH", "/a:/b c")),
    )
    assert command.text() == "env DX_ZIG=/zig 'PATH=/a:/b c' cmake --build '/a folder'"


def test_the_last_words_begin_at_the_first_failure():
    lines = [f"[{i}/50] Building CXX object x{i}.cpp.o" for i in range(30)]
    lines += [
        "FAILED: x.cpp.o",
        "clang++ " + "-I/include " * 200,
        "x.cpp:3:1: error: unknown type name 'inteher'",
        "    3 | inteher x;",
        "",
        "ninja: build stopped: subcommand failed.",
    ]
    assert last_words(lines) == [
        "FAILED: x.cpp.o",
        "x.cpp:3:1: error: unknown type name 'inteher'",
        "    3 | inteher x;",
        "ninja: build stopped: subcommand failed.",
    ]


def test_last_words_are_few():
    assert last_words([f"line {i}" for i in range(100)]) == [f"line {i}" for i in range(88, 100)]
    failing = [f"x.cpp:{i}: error: bad" for i in range(100)]
    assert last_words(failing) == failing[:12]


def test_events_say_what_they_are():
    package = PackageStarted(name="ncnn", version="1.0.20261020", index=3, total=7)
    assert package.text == "Package 3 of 7: ncnn 1.0.20261020"
    assert ObjectsCompiled(done=41, total=248).text == "object 41 of 248"
    received = SourceReceived(filename="a.gz", received_bytes=3_100_000, total_bytes=8_600_000)
    assert received.text == "a.gz: 3.1 of 8.6 MB"


def test_a_lockfile_does_not_change_with_the_clock():
    line = '"zlib/1.2.13#32aba6058483f4311c629e045bb57aa8%1763689001.2"'
    assert without_times(line) == '"zlib/1.2.13#32aba6058483f4311c629e045bb57aa8"'
