"""What is said to have been seen, held against targets, tests and finished builds."""

import ast
import re
from pathlib import Path

import pytest

from deployx_edge.crossbuild.finished import read_build
from deployx_edge.operator_facts import all_operators
from deployx_edge.resources import dist_folder, host_target_id
from deployx_edge.runtime import RUNTIMES
from deployx_edge.seen import HERE, HOWS, all_seen, operators_seen, seen_of
from deployx_edge.target import targets
from deployx_edge.worker_facts import worker_facts

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_each_place_of_a_runtime_has_one_row(runtime):
    wanted = [HERE, *(id for id, target in targets().items() if runtime in target.runtimes)]
    assert [row.place for row in seen_of(runtime)] == wanted


def test_nothing_is_said_of_what_there_is_not():
    assert {row.runtime for row in all_seen()} == set(RUNTIMES)


def test_operators_have_a_row_for_each_target_of_a_runtime_that_has_some():
    wanted = {
        (runtime, id)
        for runtime in {name for facts in all_operators().values() for name in facts.runtimes}
        for id, target in targets().items()
        if runtime in target.runtimes
    }
    assert {(row.runtime, row.place) for row in operators_seen() if row.place != HERE} == wanted


@pytest.mark.parametrize(
    "row", all_seen() + operators_seen(), ids=lambda row: f"{row.runtime}-{row.place}"
)
def test_a_row_is_backed_by_tests_that_know_the_place(row):
    assert row.how in HOWS
    assert row.what
    if row.how == "not tried":
        assert not row.test
        return
    text = (ROOT / row.test).read_text(encoding="utf-8")
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    assert any(function.name.startswith("test_") for function in functions)
    # No test can have run on a processor that this computer has not.
    if row.place not in (HERE, host_target_id()):
        assert row.how != "run"
        assert re.search(rf"{row.place}|in targets\(\)|list\(targets\(\)\)", text)


def test_the_readme_s_table_says_the_same():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    heads = ["this computer", *(f"`{target_id}`" for target_id in targets())]
    assert f"| Runtime | {' | '.join(heads)} |\n" in text
    for runtime in RUNTIMES:
        how = {row.place: row.how for row in seen_of(runtime)}
        cells = [how.get(place, "—") for place in (HERE, *targets())]
        assert f"\n| `{runtime}` | {' | '.join(cells)} |\n" in text


@pytest.mark.parametrize("target_id", targets())
def test_what_was_compiled_is_in_the_build(target_id):
    if not (dist_folder(target_id) / "build.json").is_file():
        pytest.skip(f"{target_id} is not built")
    build = read_build(dist_folder(target_id))
    workers = {f.runtime for f in build.files if f.role == "worker"}
    # Some are compiled with a board's own headers, which a sysroot brings.
    rows = [
        row
        for row in all_seen()
        if row.place == target_id and (build.sysroot or worker_facts(row.runtime).board is None)
    ]
    assert {row.runtime for row in rows if row.how != "not tried"} <= workers
