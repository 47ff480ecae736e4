"""What runtimes need on this computer, and the commands that list and install it."""

import json
import sys

import pytest
from typer.testing import CliRunner

from deployx_edge.cli.app import app
from deployx_edge.errors import DeployxError, UsageError
from deployx_edge.progress import silent
from deployx_edge.runtime import RUNTIMES
from deployx_edge.runtimes.setup import PackageSetup
from deployx_edge.seen import HOWS
from deployx_edge.target import targets

EXTRAS = [row for row in RUNTIMES.values() if row.extra]


def said(*words):
    """What a command prints, and its exit code."""
    done = CliRunner().invoke(app, ["runtimes", *words])
    error = done.exception if isinstance(done.exception, DeployxError) else None
    return done.stdout, done.exit_code if error is None else error.exit_code


def test_each_runtime_is_listed_with_its_boards_and_how_far_it_was_tried():
    out, code = said("list", "--json")
    listed = json.loads(out)["runtimes"]
    assert code == 0
    assert [row["name"] for row in listed] == list(RUNTIMES)
    for row in listed:
        having = [id for id, target in targets().items() if row["name"] in target.runtimes]
        assert row["targets"] == having
        assert {each["place"] for each in row["seen"]} == {"here", *having}
        assert all(each["how"] in HOWS and each["what"] for each in row["seen"])
        assert row["ready"] == all(need["present"] for need in row["needs"])


@pytest.mark.parametrize("facts", EXTRAS, ids=lambda facts: facts.name)
def test_a_missing_package_is_told_with_its_pip_command(facts, monkeypatch, tmp_path):
    setup = PackageSetup(facts.name)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    (need,) = setup.needs()
    assert (need.name, need.present, need.found) == (facts.package, False, "not installed")
    assert need.remedy == f"pip install 'deployx-edge[{facts.extra}]'"
    with pytest.raises(UsageError, match=f"Python package {facts.package}") as caught:
        setup.install(silent)
    assert need.remedy in caught.value.remedy


def test_a_package_that_is_there_is_told_with_its_version():
    setup = PackageSetup("onnxruntime")
    (need,) = setup.needs()
    assert need.present
    assert need.found in setup.install(silent)


def test_a_runtime_that_was_named_has_to_be_there(monkeypatch, tmp_path):
    facts = EXTRAS[0]
    there = said("doctor", facts.name)
    assert there[1] == 0
    # Without a name nothing has to be there.
    assert said("doctor")[1] == 0
    assert said("doctor", "nothing")[1] == 2
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    out, code = said("doctor", "--json", facts.name)
    assert code == 4
    (row,) = json.loads(out)["runtimes"]
    assert not row["ready"]
