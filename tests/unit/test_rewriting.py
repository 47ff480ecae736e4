"""The choice among rewriters, following paths, putting in place and taking back, loading."""

from __future__ import annotations

import sys
from collections import OrderedDict
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_edge.errors import UsageError
from deployx_edge.rewriting import Registry, RewriterContext, RewriteRequest, mark
from deployx_edge.rewriting.functions import Running, rewritten_function
from deployx_edge.rewriting.graphs import attribute_value, type_letter
from deployx_edge.rewriting.nests import leaves, map_leaves
from deployx_edge.rewriting.patching import Replacement, Target, install, locate, put, target_at
from deployx_edge.rewriting.registry import DESCRIPTORS, Rewriter
from deployx_edge.rewriting.symbolics import NotConstant, converted

CONTEXT = RewriterContext(runtime=None, intermediate="onnx", exporter="dynamo", config={})


def entry(**options: Any) -> Rewriter:
    return Rewriter(**{"kind": "function", "path": "a.b", "code": lambda context: None, **options})


def chosen(entries: list[Rewriter], **request: Any) -> list[Rewriter]:
    registry = Registry()
    for rewriter in entries:
        registry.add(rewriter)
    return list(registry.chosen(RewriteRequest(**request)))


# --- the choice -------------------------------------------------------------------------------


def test_the_entry_that_says_more_wins() -> None:
    default, ncnn = entry(), entry(runtime="ncnn")
    onnx, new = entry(intermediate="onnx"), entry(requires="pytest>=1")
    everything = [default, ncnn, onnx, new]
    assert chosen(everything, runtime="ncnn") == [ncnn]
    assert chosen(everything, runtime="tensorrt") == [onnx]
    assert chosen(everything, intermediate="mlir") == [new]
    assert chosen([default, entry(runtime="snpe")], runtime="ncnn") == [default]
    assert chosen([entry(runtime="snpe"), entry(intermediate="mlir")], runtime="ncnn") == []
    assert chosen([default, entry(path="a.c"), entry(kind="module")]) != []


@given(
    st.lists(
        st.tuples(st.sampled_from([None, "ncnn", "snpe"]), st.sampled_from([None, "onnx", "mlir"])),
        unique=True,
    )
)
def test_the_choice_does_not_depend_on_the_order(options: list[tuple[Any, Any]]) -> None:
    entries = [entry(runtime=runtime, intermediate=between) for runtime, between in options]
    found = chosen(entries, runtime="ncnn")
    assert found == chosen(entries[::-1], runtime="ncnn")
    fitting = [one for one in entries if one.fits(RewriteRequest(runtime="ncnn"))]
    assert len(found) == min(1, len(fitting))
    assert all(found[0].rank >= one.rank for one in fitting)


def test_versions_of_a_library() -> None:
    assert chosen([entry(requires="pytest>=1,<1000")]) != []
    assert chosen([entry(requires="pytest<1")]) == []
    assert chosen([entry(requires="no-such-library>=1")]) == []
    with pytest.raises(UsageError, match=r"requires='torch 2' does not name versions"):
        chosen([entry(requires="torch 2")])
    both = [entry(requires="pytest>=1"), entry(requires="pytest>=2")]
    with pytest.raises(UsageError, match="fit equally well") as caught:
        chosen(both)
    assert "test_rewriting.py:" in str(caught.value)


def test_a_second_entry_for_the_same_is_refused() -> None:
    registry = Registry()
    first = registry.function_rewriter("a.b", runtime="ncnn")(lambda context: 1)
    with pytest.raises(UsageError, match=r"has a function rewriter for ncnn already") as caught:
        registry.function_rewriter("a.b", runtime="ncnn")(lambda context: 2)
    assert "replace=True" in str(caught.value)
    second = registry.function_rewriter("a.b", runtime="ncnn", replace=True)(lambda context: 3)
    assert first is not second
    assert len(registry) == 1
    (only,) = registry.chosen(RewriteRequest(runtime="ncnn"))
    assert only.code is second


def test_what_cannot_be_asked_for() -> None:
    with pytest.raises(UsageError, match="The exporter is dynamo or torchscript, not 'fx'"):
        RewriteRequest(exporter="fx")
    with pytest.raises(UsageError, match="describes an argument as 'number'"):
        Registry().symbolic_rewriter("aten::gelu", inputs=("number",))(lambda graph: None)


def test_an_operator_has_one_name() -> None:
    registry = Registry()
    registry.symbolic_rewriter("torch.ops.aten.gelu")(lambda graph: None)
    with pytest.raises(UsageError, match="'aten::gelu' has a symbolic rewriter"):
        registry.symbolic_rewriter("aten::gelu")(lambda graph: None)


# --- following paths --------------------------------------------------------------------------


class Example:
    """Has functions of all kinds."""

    number = 5

    def method(self) -> str:
        return "method"

    @staticmethod
    def static() -> str:
        return "static"

    @classmethod
    def of_class(cls) -> str:
        return f"class {cls.__name__}"


class Child(Example):
    pass


def function(text: str = "function") -> str:
    return text


alias = function
kept = Child.of_class
HERE = __name__
HERE_MODULE = sys.modules[__name__]


def test_paths_are_followed_and_imported() -> None:
    place = locate("xml.etree.ElementTree.fromstring")  # nothing imports it before
    assert place is not None
    assert place.value.__name__ == "XML"
    place = locate(f"{HERE}.Example.method")
    assert place is not None
    assert (place.holder, place.name) == (Example, "method")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("function", "is not the dotted path"),
        ("a..b", "is not the dotted path"),
        ("no_such_module.f", "there is no module 'no_such_module'"),
        (f"{HERE}.functon", rf"has no 'functon'\. Did you mean {HERE}\.function\?"),
        (f"{HERE}.Example.methods.x", "has no 'methods'. Did you mean"),
    ],
)
def test_paths_that_lead_nowhere(path: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        locate(path)
    if "dotted" not in message:
        assert locate(path, optional=True) is None


def test_a_module_that_fails_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_for_rewriters.py").write_text("import no_such_thing\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="cannot be imported: ModuleNotFoundError") as caught:
        locate("failing_for_rewriters.f", optional=True)
    assert "no_such_thing" in str(caught.value)


def target(path: str) -> Target:
    place = locate(path)
    assert place is not None
    return target_at(place)


def test_what_is_no_function() -> None:
    with pytest.raises(UsageError, match="is not a function or method, but of the type int"):
        target(f"{HERE}.Example.number")
    with pytest.raises(UsageError, match="Rewrite a class with module_rewriter"):
        target(f"{HERE}.Example")


# --- putting in place -------------------------------------------------------------------------


def wrapped(path: str, code: Any) -> Replacement:
    found = target(path)
    rewriter = entry(path=path, code=code)
    made = rewritten_function(rewriter, found, CONTEXT, lambda: None)
    return Replacement(target=found, code=made)


def shouted(context: Any, *args: Any) -> str:
    return str(context.original(*args)).upper()


def test_all_kinds_of_functions_are_replaced_and_restored() -> None:
    class Model:
        """Stands for a module that keeps a function."""

        def __init__(self) -> None:
            self.activation = function

    model = Model()
    paths = ["function", "Example.method", "Example.static", "Child.of_class"]
    before = {
        "example": dict(vars(Example)),
        "child": dict(vars(Child)),
        "module": {name: getattr(HERE_MODULE, name) for name in ("function", "alias", "kept")},
    }
    with ExitStack() as undo:
        install(undo, [wrapped(f"{HERE}.{path}", shouted) for path in paths], [model])
        assert function() == alias() == model.activation() == "FUNCTION"
        assert function("given") == "GIVEN"
        assert Example().method() == Child().method() == "METHOD"
        assert Example.static() == Example().static() == Child.static() == "STATIC"
        assert Child.of_class() == kept() == "CLASS CHILD"
        assert Example.of_class() == "class Example"
        assert function.__name__ == "function"
    assert function() == alias() == model.activation() == "function"
    assert kept() == "class Child"
    assert dict(vars(Child)) == before["child"]  # what was inherited is inherited again
    assert all(vars(Example)[name] is value for name, value in before["example"].items())
    assert all(getattr(HERE_MODULE, name) is value for name, value in before["module"].items())


def test_all_is_restored_where_putting_in_place_fails() -> None:
    before = dict(vars(Example))
    with pytest.raises(UsageError, match="cannot be replaced"), ExitStack() as undo:
        install(
            undo,
            [wrapped(f"{HERE}.Example.method", shouted), wrapped("builtins.str.upper", shouted)],
            [],
        )
    assert all(vars(Example)[name] is value for name, value in before.items())


def test_within_another_the_original_is_the_original() -> None:
    with ExitStack() as outer:
        install(outer, [wrapped(f"{HERE}.function", shouted)], [])
        first = function
        with ExitStack() as inner:
            reverse = wrapped(f"{HERE}.function", lambda c, *args: c.original(*args)[::-1])
            install(inner, [reverse], [])
            assert function() == alias() == "noitcnuf"
        assert function is alias is first
        assert function() == "FUNCTION"


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "number", "method"]), st.integers())))
def test_any_sequence_of_changes_is_undone(changes: list[tuple[str, int]]) -> None:
    before = dict(vars(Child)), dict(vars(Example))
    with ExitStack() as undo:
        for name, value in changes:
            put(undo, Child, name, value)
            assert getattr(Child, name) == value
    assert (dict(vars(Child)), dict(vars(Example))) == before


# --- calls ------------------------------------------------------------------------------------


def test_a_call_with_the_same_arguments_is_the_originals_turn() -> None:
    one, two = [1], [1]
    running = Running("a.b")

    def code(*args: Any, **kwargs: Any) -> tuple[bool, bool, bool]:
        return (
            ((one,), {"k": one}) in running,
            ((two,), {"k": one}) in running,
            ((one,), {}) in running,
        )

    assert running.run(code, (one,), {"k": one}) == (True, False, False)
    assert ((one,), {"k": one}) not in running


def test_calls_without_end_are_told() -> None:
    running = Running("a.b")

    def code(number: int) -> Any:
        return running.run(code, (number + 1,), {})

    with pytest.raises(UsageError, match=r"The rewriter of 'a\.b' calls what it rewrites"):
        code(0)


# --- nests ------------------------------------------------------------------------------------


class Box(NamedTuple):
    left: Any
    right: Any


NESTS = st.recursive(
    st.integers() | st.text(max_size=2) | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.builds(Box, inner, inner)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3).map(OrderedDict)
    ),
    max_leaves=10,
)


@given(NESTS)
def test_nests_keep_their_form(nest: Any) -> None:
    assert map_leaves(nest, int, lambda _, leaf: leaf) is nest
    up = map_leaves(nest, int, lambda _, leaf: leaf + 1)
    assert type(up) is type(nest)
    assert leaves(up, int) == [leaf + 1 for leaf in leaves(nest, int)]
    assert map_leaves(up, int, lambda _, leaf: leaf - 1) == nest


def test_leaves_have_names() -> None:
    names: list[str] = []
    nest = {"a": [1, (2, "x")], "b": Box(3, {"c": 4})}
    map_leaves(nest, int, lambda name, leaf: names.append(name) or leaf, name="out")
    assert names == ["out.a.0", "out.a.1.0", "out.b.0", "out.b.1.c"]


# --- arguments and attributes -----------------------------------------------------------------

FITTING = {
    "int": [(3, 3)],
    "ints": [((1, 2), (1, 2)), ([1], (1,)), (4, (4,)), ([], ())],
    "float": [(0.5, 0.5), (2, 2.0)],
    "floats": [([1, 0.5], (1.0, 0.5)), (3, (3.0,))],
    "bool": [(True, True)],
    "string": [("a", "a")],
    "none": [(None, None)],
    "any": [(None, None), ([1, "a"], [1, "a"])],
}
UNFIT = {
    "int": [0.5, True, "3", None, [3]],
    "ints": [[0.5], [True], "12", None],
    "float": [True, "0.5", [0.5]],
    "floats": [["a"], None],
    "bool": [1, None],
    "string": [1, None],
    "none": [0, False],
    "any": [],
}


def test_arguments_are_converted_or_do_not_fit() -> None:
    assert set(FITTING) == set(UNFIT) == set(DESCRIPTORS) - {"tensor"}
    for descriptor, pairs in FITTING.items():
        for value, wanted in pairs:
            found = converted(value, descriptor)
            assert (type(found), found) == (type(wanted), wanted), descriptor
    for descriptor, values in UNFIT.items():
        for value in values:
            assert isinstance(converted(value, descriptor), NotConstant), (descriptor, value)


def test_attributes_have_the_types_that_onnx_has() -> None:
    cases = [
        (True, False, 1, "i"),
        (2, True, 2.0, "f"),
        (0.5, False, 0.5, "f"),
        ("a", False, "a", "s"),
        ((1, 2), False, [1, 2], "i"),
        ((1, 2), True, [1.0, 2.0], "f"),
        ([1, 0.5], False, [1.0, 0.5], "f"),
        (["a", "b"], False, ["a", "b"], "s"),
    ]
    for value, floats, wanted, letter in cases:
        found = attribute_value("'x'", value, floats=floats)
        assert (type(found), found) == (type(wanted), wanted)
        assert type_letter(found) == letter
    for value in ([], None, ["a", 1], object(), {"a": 1}):
        with pytest.raises(UsageError, match="which ONNX cannot hold"):
            attribute_value("'x'", value, floats=False)


# --- marks ------------------------------------------------------------------------------------


def test_a_marked_function_runs_as_it_is() -> None:
    @mark("m", inputs=("a", "b", "c"), outputs=("d",))
    def doubled(x: int) -> int:
        """Its own words."""
        return x * 2

    assert doubled(2) == 4
    assert doubled.__doc__ == "Its own words."
