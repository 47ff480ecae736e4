from __future__ import annotations

import json
import urllib.request

import pytest

from deployx_edge.crossbuild.apt_client import pool_url
from deployx_edge.crossbuild.pip_client import PipClient, file_addresses, parse_configuration


def test_the_environment_wins_over_files():
    listing = """\
:env:.index-url='https://user:secret@mirror.invalid/simple'
:env:.no-cache-dir='1'
global.index-url='https://elsewhere.invalid/simple'
global.extra-index-url='file:///a/simple file:///b/simple'
download.index-url='https://between.invalid/simple'
install.index-url='https://not-asked.invalid/simple'
"""
    options = parse_configuration(listing)
    assert options["index-url"] == "https://user:secret@mirror.invalid/simple"
    assert options["extra-index-url"].split() == ["file:///a/simple", "file:///b/simple"]


def test_a_json_page_lists_its_files():
    page = json.dumps({"files": [{"url": "../../a-1.tar.gz"}, {"url": "a-2.tar.gz"}]}).encode()
    found = file_addresses(page, "application/vnd.pypi.simple.v1+json")
    assert found == ["../../a-1.tar.gz", "a-2.tar.gz"]


def test_an_html_page_lists_its_files():
    page = b'<html><a href="a-1.tar.gz?x=1&amp;y=2#sha256=00">a-1</a> <a>none</a></html>'
    assert file_addresses(page, "text/html") == ["a-1.tar.gz?x=1&y=2#sha256=00"]


@pytest.mark.parametrize("project", ["Some.Thing", "some_thing", "some-thing"])
def test_an_index_of_files_is_read(tmp_path, project):
    folder = tmp_path / "simple" / "some-thing"
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(
        '<a href="../../files/some_thing-1.tar.gz#sha256=00">x</a>'
        '<a href="../../files/other_some_thing-1.tar.gz">y</a>'
    )
    client = _client(indexes=((tmp_path / "simple").as_uri(),))
    expected = (tmp_path / "files" / "some_thing-1.tar.gz").as_uri()
    assert list(client.find(project, "some_thing-1.tar.gz")) == [expected]


def test_link_folders_are_asked_first(tmp_path):
    (tmp_path / "thing-1.tar.gz").write_bytes(b"x")
    client = _client(links=(str(tmp_path),))
    assert list(client.find("thing", "thing-1.tar.gz")) == [(tmp_path / "thing-1.tar.gz").as_uri()]


def test_places_that_do_not_answer_are_passed_over(tmp_path):
    client = _client(indexes=((tmp_path / "missing").as_uri(),), links=(str(tmp_path / "no"),))
    assert list(client.find("thing", "thing-1.tar.gz")) == []


@pytest.mark.parametrize(("source", "path"), [("grpc", "g/grpc"), ("libpng1.6", "libp/libpng1.6")])
def test_the_pool_keeps_sources_by_letter(source, path):
    url = pool_url("https://debian.invalid/debian/", "main", source, "x.orig.tar.gz")
    assert url == f"https://debian.invalid/debian/pool/main/{path}/x.orig.tar.gz"


def _client(indexes=(), links=()):
    return PipClient(indexes=indexes, links=links, opener=urllib.request.build_opener())
