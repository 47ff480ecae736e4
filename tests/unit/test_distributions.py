"""Versions of installed packages, as Python's own reader of what they say tells them."""

import subprocess
import sys
from importlib import metadata

import pytest

from deployx_edge.distributions import installed_version
from deployx_edge.workflows.convert.bundle_key import TOOLS


@pytest.mark.parametrize("name", [*TOOLS, "ziglang"])
def test_a_version_is_the_one_that_the_package_says(name):
    assert installed_version(name) == told_version(name)


def told_version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # an extra
        return ""


def test_what_is_not_installed_is_known_without_reading_packages(tmp_path):
    """A reader of e-mails takes a tenth of a short command's time."""
    code = (
        "import sys; from deployx_edge.distributions import installed_version as version\n"
        "assert version('no-such-thing') == ''; assert 'importlib.metadata' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


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
