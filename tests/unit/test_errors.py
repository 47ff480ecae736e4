import re

from deployx_edge import errors
from deployx_edge.errors import DeployxError


def _tree(kind):
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in _tree(child))]


def _own():
    return [kind for kind in _tree(DeployxError) if kind.__module__ == errors.__name__]


def test_each_class_has_an_exit_code_of_its_own():
    codes = [kind.exit_code for kind in _own()]
    assert len(set(codes)) == len(codes)
    assert all(0 < code < 128 for code in codes)


def test_the_docstring_draws_the_tree_as_it_is():
    drawn = dict(re.findall(r"(\w+Error)\s+(\d+)", errors.__doc__))
    assert drawn == {kind.__name__: str(kind.exit_code) for kind in _own()}


def test_the_remedy_follows_the_message():
    assert str(DeployxError("It broke.", remedy="Mend it.")) == "It broke. Mend it."
    assert str(DeployxError("It broke.")) == "It broke."
