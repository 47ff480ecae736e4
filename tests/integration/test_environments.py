"""Environments of runtimes' own: real pip, an index on loopback whose connection breaks."""

import hashlib
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from deployx_edge import process
from deployx_edge.errors import MissingToolError
from deployx_edge.progress import silent
from deployx_edge.runtimes.environment import Borrowed, Environment


class Index(SimpleHTTPRequestHandler):
    """PyPI's simple pages as folders of files; one wheel's connection breaks while it is told."""

    asked: ClassVar[list[str]] = []
    broken = ""

    def do_GET(self):
        if self.path.endswith(".whl"):
            self.asked.append(self.path.rpartition("/")[2])
            if self.broken and self.broken in self.path:
                self.send_response(200)
                self.send_header("Content-Length", "1000000")
                self.end_headers()
                self.wfile.write(b"PK")
                self.close_connection = True
                return
        super().do_GET()

    def log_message(self, *words):
        pass


def wheel(folder, name, version):
    """A package of one module that says its version; the sha256 of its wheel."""
    place = folder / "simple" / name
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", f"version = {version!r}\n")
        file.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """An index with two packages, pip's only one, and a cache of the test's own."""
    served = tmp_path / "served"
    served.mkdir()
    monkeypatch.setattr(Index, "asked", [])
    monkeypatch.setattr(Index, "broken", "")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Index, directory=str(served)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    for name in ("PIP_FIND_LINKS", "PIP_CONSTRAINT", "PIP_EXTRA_INDEX_URL", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path / "cache"))
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def listed(tmp_path, hashes):
    """A list of exact versions."""
    path = tmp_path / "requirements.txt"
    lines = [f"{name}=={version} --hash=sha256:{digest}" for name, version, digest in hashes]
    path.write_text("\n".join(lines) + "\n")
    return path


def said(environment, code):
    return process.run([environment.python, "-c", code]).stdout.decode().strip()


def test_an_installation_that_broke_goes_on_and_is_whole_or_not_there(index, tmp_path, monkeypatch):
    pins = [(name, "1.0", wheel(index, name, "1.0")) for name in ("firstone", "secondone")]
    own = tmp_path / "own"
    (own / "lent").mkdir(parents=True)
    (own / "lent" / "__init__.py").write_text("word = 'lent'\n")
    monkeypatch.syspath_prepend(str(own))
    environment = Environment(
        name="tried",
        requirements=listed(tmp_path, pins),
        borrowed=(Borrowed(requirement="lent==1", modules=("lent", "not_there")),),
    )
    assert environment.problem() == "not installed"
    Index.broken = "secondone"
    with pytest.raises(MissingToolError, match="pip could not install the packages") as caught:
        environment.make(silent)
    assert "run it again" in caught.value.remedy
    assert environment.problem() == "not installed"
    assert [path.name for path in environment.folder.parent.glob("tried-*")] == [
        f"{environment.folder.name}.wheels"
    ]
    stale = environment.folder.parent / "tried-000000000000"
    stale.mkdir()

    Index.broken = ""
    environment.make(silent)
    assert Index.asked.count("firstone-1.0-py3-none-any.whl") == 1
    assert environment.problem() == ""
    code = "import firstone, secondone, lent; print(secondone.version, lent.word)"
    assert said(environment, code) == "1.0 lent"
    assert [path.name for path in environment.folder.parent.glob("tried-*")] == [
        environment.folder.name
    ]
    asked = len(Index.asked)
    environment.make(silent)  # it is there
    assert len(Index.asked) == asked

    (own / "lent" / "__init__.py").unlink()
    assert environment.problem() == f"lent is gone from {own}"
    environment.python.unlink()
    environment.python.symlink_to("/nowhere/python3")
    gone = "the Python that it was made with is gone (/nowhere/python3)"
    assert environment.problem() == gone


def test_a_package_that_is_another_than_the_list_says_is_refused(index, tmp_path):
    wheel(index, "firstone", "1.0")
    environment = Environment(
        name="tried", requirements=listed(tmp_path, [("firstone", "1.0", "0" * 64)])
    )
    with pytest.raises(MissingToolError, match=r"(?i)hash"):
        environment.make(silent)
    assert environment.problem() == "not installed"


def test_of_two_installations_one_waits(index, tmp_path):
    pins = [("firstone", "1.0", wheel(index, "firstone", "1.0"))]
    environment = Environment(name="tried", requirements=listed(tmp_path, pins))
    holding, waiting, told = threading.Event(), threading.Event(), []

    def first(event):
        """Goes on once the other waits."""
        holding.set()
        assert waiting.wait(60)

    def second(event):
        told.append(event.text)
        waiting.set()

    one = threading.Thread(target=environment.make, args=[first])
    one.start()
    assert holding.wait(60)
    environment.make(second)
    one.join()
    assert told == ["Waiting for another installation on this computer"]
    assert Index.asked == ["firstone-1.0-py3-none-any.whl"]
    assert said(environment, "import sys; print(sys.version_info[:2])") == str(sys.version_info[:2])
