"""Every recipe's test_package, compiled against the finished package and run."""

from __future__ import annotations

import re
import shutil

import pytest

from deployx_edge.crossbuild import packages
from deployx_edge.crossbuild.commands import run_command
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.selection import select
from deployx_edge.crossbuild.workers import AGENT, package_names, worker_part
from deployx_edge.resources import data_folder
from deployx_edge.target import find_target
from deployx_edge.worker_facts import worker_names

_LOCK = (data_folder("device_agent") / "conan.lock").read_text()
_REFERENCES = [f"{name}/{version}" for name, version in re.findall(r'"([\w-]+)/([\w.]+)#', _LOCK)]


@pytest.mark.parametrize("reference", sorted(_REFERENCES))
def test_the_package_links_and_works(tmp_path, reference):
    name = reference.partition("/")[0]
    # Conan writes into the folder.
    copy = tmp_path / "test_package"
    shutil.copytree(data_folder("recipes") / name / "all" / "test_package", copy)
    selection = select(find_target("linux-x64"), BuildOptions())
    parts = [AGENT, *(worker_part(one) for one in worker_names() if name in package_names(one))]
    toolchain = dict(selection.compilers)[parts[-1]]
    command = packages.test_command(toolchain, reference=reference, test_package=copy)
    run_command(command, tmp_path / "log", lambda event: None)
    said = (tmp_path / "log").read_text()
    assert "RUN: " in said
    assert "test_package" in said.rsplit("RUN: ", 1)[1]
