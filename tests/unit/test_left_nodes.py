"""Nodes that a bundle leaves to the processor: what a run without leave for them says."""

import json
from dataclasses import replace

import pytest

from deployx_edge.bundle import LeftNode, bundle_digest, load_bundle, write_bundle
from deployx_edge.cli.fallback import check_conversion, fail_at_conversion
from deployx_edge.errors import BundleError, FallbackError, ModelError, UsageError
from deployx_edge.measurement.fallback import ALLOW_FALLBACK
from deployx_edge.measurement.values import RunOptions
from deployx_edge.report.parts import parts_runs
from deployx_edge.runtime import RUNTIMES
from deployx_edge.runtimes.converter import LeftNodesError
from deployx_edge.worker_facts import has_option
from deployx_edge.workflows.boards.left_nodes import (
    allowing,
    check_parts,
    check_run,
    left_note,
    of_part,
)
from tests.unit.models.bundles import bundle_value, sources, written
from tests.unit.report.results import result

NODE = LeftNode(node="determinant", operator="Det", reason="it has none")
# A runtime that can leave nodes, and one that never does.
LEAVING = next(name for name, row in RUNTIMES.items() if row.leaves_nodes)
WHOLE = next(n for n in RUNTIMES if not has_option(n, ALLOW_FALLBACK[0]))


def leaving(folder, nodes=(NODE,)):
    return replace(written(folder), runtime=LEAVING, left=tuple(nodes))


def test_a_bundle_remembers_the_nodes(tmp_path):
    files = sources(tmp_path / "sources")
    plain = write_bundle(bundle_value(tmp_path, files), files, tmp_path / "plain")
    made = write_bundle(replace(plain, left=(NODE,)), files, tmp_path / "left")
    assert load_bundle(tmp_path / "left").left == (NODE,)
    assert load_bundle(tmp_path / "plain").left == ()
    assert bundle_digest(made) != bundle_digest(plain)
    manifest = json.loads((tmp_path / "left" / "bundle.json").read_text())
    assert manifest["left_to_processor"] == [vars(NODE)]
    assert "left_to_processor" not in json.loads((tmp_path / "plain/bundle.json").read_text())
    for broken in ({"node": "a"}, "a", [vars(NODE) | {"more": 1}]):
        text = json.dumps(manifest | {"left_to_processor": broken})
        (tmp_path / "left" / "bundle.json").write_text(text)
        with pytest.raises(BundleError, match="left_to_processor"):
            load_bundle(tmp_path / "left")


def test_a_run_allows_them_or_is_refused_with_each_named(tmp_path):
    bundle = leaving(tmp_path)
    with pytest.raises(FallbackError, match=r"Det \(node 'determinant'\): it has none") as caught:
        check_run(bundle, ())
    assert "--allow-fallback" in caught.value.remedy
    assert "--partition" in caught.value.remedy
    assert caught.value.exit_code == 17
    with pytest.raises(FallbackError):
        check_run(bundle, [("allow_fallback", "off")])
    check_run(bundle, [ALLOW_FALLBACK])
    check_run(replace(bundle, left=()), ())
    many = [replace(NODE, node=f"n{index}") for index in range(8)]
    with pytest.raises(FallbackError, match=r"'n4'.*; and 3 more\.") as caught:
        check_run(replace(bundle, left=tuple(many)), ())
    assert "'n5'" not in caught.value.message


def test_parts_have_the_options_of_their_runtimes(tmp_path):
    bundle = leaving(tmp_path)
    other = replace(bundle, runtime=WHOLE, left=())
    with pytest.raises(UsageError, match="allow_fallback is an option of"):
        check_run(other, [ALLOW_FALLBACK])
    check_parts([other, bundle], [ALLOW_FALLBACK])
    with pytest.raises(FallbackError):
        check_parts([other, bundle], [])
    with pytest.raises(UsageError, match="allow_fallback is an option of"):
        check_parts([other, other], [ALLOW_FALLBACK])
    options = RunOptions(named=(ALLOW_FALLBACK,))
    assert of_part(other, options).named == ()
    assert of_part(bundle, options) == options
    assert allowing(bundle, RunOptions()) == options
    assert allowing(other, RunOptions()) == RunOptions()
    told = "The processor, not the accelerator, ran determinant."
    assert (left_note([other, bundle]), left_note([other])) == (told, None)


def test_parts_of_one_run_stand_together_whatever_options_each_has():
    leaves, other = result(), result()
    leaves = replace(leaves, options=replace(leaves.options, named=(ALLOW_FALLBACK,)))
    slower = replace(other, options=replace(other.options, threads=1))
    runs = parts_runs([[leaves], [other, slower]])
    assert [run.parts for run in runs] == [(leaves, other), (None, slower)]
    assert runs[0].sum_of("p50") is not None


def test_a_conversion_that_leaves_nothing_has_nothing_to_allow():
    check_conversion(True, [LEAVING, WHOLE])
    check_conversion(False, [WHOLE])
    for row in RUNTIMES.values():
        if not row.leaves_nodes:
            with pytest.raises(UsageError, match=f"A model for {row.title} is taken as a whole"):
                check_conversion(True, [row.name])
    with pytest.raises(UsageError, match="says nothing here") as caught:
        check_conversion(True, [None])
    assert LEAVING in caught.value.remedy
    assert "--partition" in caught.value.remedy


def test_a_refused_conversion_ends_as_the_command_was_told():
    for fail, kind, code in ((True, FallbackError, 17), (False, LeftNodesError, 10)):
        with pytest.raises(kind) as caught, fail_at_conversion(fail):
            raise LeftNodesError("It leaves to the processor: Det.", (NODE,))
        assert (caught.value.exit_code, caught.value.message[-4:]) == (code, "Det.")
    with pytest.raises(ModelError, match="broken") as caught, fail_at_conversion(True):
        raise ModelError("It is broken.")
    assert caught.value.exit_code == 10
