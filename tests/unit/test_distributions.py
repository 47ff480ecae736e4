"""Versions of installed packages, as Python's own reader of what they say tells them."""

from importlib import metadata

import pytest

from deployx_edge.distributions import installed_version
from deployx_edge.workflows.convert.bundle_key import TOOLS


@pytest.mark.parametrize("name", [*TOOLS, "ziglang"])
def test_a_version_is_the_one_that_the_package_says(name):
    try:
        wanted = metadata.version(name)
    except metadata.PackageNotFoundError:  # of a runtime that is not here
        wanted = ""
    assert installed_version(name) == wanted


def test_spelling_old_installers_and_what_is_not_there(tmp_path, monkeypatch):
    for folder in ("A.Name_here-1.2.dist-info", "old_one-3.4.egg-info"):
        name, version = folder.rpartition(".")[0].split("-")
        (tmp_path / folder).mkdir()
        for file in ("METADATA", "PKG-INFO"):
            text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            (tmp_path / folder / file).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    found = [installed_version(name) for name in ("a-name.here", "old-one", "no-such-thing")]
    assert found == ["1.2", "3.4", ""]
