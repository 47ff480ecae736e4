"""Which protoc and grpc_cpp_plugin a build takes."""

from __future__ import annotations

import os

import pytest

from deployx_edge import process
from deployx_edge.crossbuild.generators import plugin_version, system_generators
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.plan import plan_build
from deployx_edge.crossbuild.workers import AGENT
from deployx_edge.target import find_target


def test_the_systems_plugin_is_known_by_its_library():
    plugin = process.find_program("grpc_cpp_plugin")
    if plugin is None:
        pytest.skip("needs grpc_cpp_plugin (package protobuf-compiler-grpc)")
    version = plugin_version(plugin)
    assert len(version.split(".")) == 3
    assert (system_generators() is not None) == (version == "1.51.1")


def test_what_is_no_plugin_has_no_version(tmp_path):
    script = tmp_path / "grpc_cpp_plugin"
    script.write_text("#!/bin/sh\n")
    assert plugin_version(script) == ""
    assert plugin_version(process.require_program("sh", remedy="")) == ""


@pytest.mark.parametrize("says", ["libprotoc 3.21.11", "libprotoc 30.1", "nonsense", ""])
def test_a_protoc_of_another_version_is_not_used(tmp_path, monkeypatch, says):
    for name in ("protoc", "grpc_cpp_plugin"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\necho '{says}'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path / "cache"))
    assert system_generators() is None
    plan = plan_build(find_target("linux-arm64"), BuildOptions())
    title = "Code generators for this computer"
    share = next(each for each in plan.shares if AGENT in each.parts)
    (command,) = [command for command in share.packages if command.title == title]
    assert "--options:host=grpc/*:product=plugin" in command.argv
    configure = " ".join(next(c.argv for c in share.compile if c.title == "Configuring the agent"))
    assert f"-DDX_PROTOC={tmp_path / 'cache' / 'build'}/generators-" in configure
