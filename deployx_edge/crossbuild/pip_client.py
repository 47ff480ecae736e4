"""Where pip would look for a file: its indexes, link folders, certificates and passwords.

pip itself cannot be told to bring a source archive without preparing it to be built, which
needs the package's own build tools. So its configuration is read, by its own commands, and
its simple index asked.
"""

from __future__ import annotations

import ast
import base64
import json
import netrc
import re
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from deployx_edge import process
from deployx_edge.errors import DeployxError
from deployx_edge.resources import expanded

_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"


class PipConfigurationError(DeployxError):
    """pip is not there or does not tell its configuration."""


@dataclass(frozen=True, kw_only=True)
class PipClient:
    """``indexes`` are simple indexes (``https:`` or ``file:``), ``links`` folders or pages."""

    indexes: tuple[str, ...]
    links: tuple[str, ...]
    opener: urllib.request.OpenerDirector

    def find(self, project: str, filename: str) -> Iterator[str]:
        """Addresses of a file of that name, in the order that pip would ask."""
        name = re.sub(r"[-_.]+", "-", project).lower()
        for link in self.links:
            yield from self._listed(link, filename)
        for index in self.indexes:
            yield from self._listed(f"{index.rstrip('/')}/{name}/", filename)

    def _listed(self, place: str, filename: str) -> Iterator[str]:
        folder = _local_folder(place)
        if folder is not None:
            if (folder / filename).is_file():
                yield (folder / filename).as_uri()
            page = folder / "index.html"
            if not page.is_file():
                return
            place = page.as_uri()
        request = urllib.request.Request(place, headers={"Accept": _ACCEPT})
        try:
            with self.opener.open(request, timeout=60) as reply:
                addresses = file_addresses(reply.read(), reply.headers.get("Content-Type") or "")
                base = reply.geturl()
        except (OSError, ValueError):
            return
        for address in addresses:
            whole = urljoin(base, address)
            if unquote(urlsplit(whole).path).rpartition("/")[2] == filename:
                yield urlunsplit(urlsplit(whole)._replace(fragment=""))


def configured_client() -> PipClient:
    """What ``pip config`` and the environment say. PipConfigurationError where pip is missing."""
    options = parse_configuration(_pip("config", "list"))
    no_index = options.get("no-index", "").lower() in ("1", "true", "yes", "on")
    indexes = () if no_index else (options.get("index-url") or _default_index(),)
    extra = () if no_index else tuple(options.get("extra-index-url", "").split())
    return PipClient(
        indexes=(*indexes, *extra),
        links=tuple(options.get("find-links", "").split()),
        opener=_opener(options),
    )


def parse_configuration(listing: str) -> dict[str, str]:
    """Options by name from ``pip config list``: command lines of pip, then environment, win."""
    ranks = ("global", "download", ":env:")
    found: dict[str, str] = {}
    rows = [line.partition("=") for line in listing.splitlines() if "=" in line]
    for rank in ranks:
        for key, _, value in rows:
            section, _, name = key.rpartition(".")
            if section == rank:
                found[name.replace("_", "-")] = str(ast.literal_eval(value))
    return found


def file_addresses(page: bytes, content_type: str) -> list[str]:
    """The files that a page of a simple index lists (JSON or HTML)."""
    if "json" in content_type:
        return [str(file["url"]) for file in json.loads(page)["files"]]
    parser = _Anchors()
    parser.feed(page.decode(errors="replace"))
    return parser.addresses


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.addresses += [value for name, value in attrs if name == "href" and value]


def _default_index() -> str:
    found = re.search(
        r"Base URL of the Python\s+Package Index \(default\s+(\S+?)\)",
        re.sub(r"\s+", " ", _pip("download", "--help")),
    )
    if found is None:
        raise PipConfigurationError("pip does not tell its index.")
    return found[1]


def _pip(*words: str) -> str:
    beside = process.run([sys.executable, "-m", "pip", *words], check=False)
    if beside.returncode == 0:
        return beside.stdout.decode(errors="replace")
    program = process.find_program("pip") or process.find_program("pip3")
    if program is None:
        raise PipConfigurationError("pip is not on this computer")
    return process.run([program, *words]).stdout.decode(errors="replace")


def _opener(options: dict[str, str]) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=options.get("cert") or None)
    if options.get("client-cert"):
        context.load_cert_chain(options["client-cert"])
    handlers: list[urllib.request.BaseHandler] = [
        _HttpsPerHost(context, tuple(options.get("trusted-host", "").split())),
        _Passwords(),
    ]
    if options.get("proxy"):
        handlers.append(
            urllib.request.ProxyHandler({"http": options["proxy"], "https": options["proxy"]})
        )
    return urllib.request.build_opener(*handlers)


class _HttpsPerHost(urllib.request.HTTPSHandler):
    """Leaves certificates of ``trusted-host`` unchecked, as pip does."""

    def __init__(self, context: ssl.SSLContext, trusted: tuple[str, ...]) -> None:
        super().__init__(context=context)
        self._checked = context
        self._unchecked = ssl._create_unverified_context()
        self._trusted = trusted

    def https_open(self, req: urllib.request.Request) -> object:  # type: ignore[override]
        host = urlsplit(req.full_url).netloc.rpartition("@")[2]
        trusted = host in self._trusted or host.partition(":")[0] in self._trusted
        self._context = self._unchecked if trusted else self._checked
        return super().https_open(req)


class _Passwords(urllib.request.BaseHandler):
    """Basic authentication from the address itself or from ``~/.netrc``."""

    handler_order = 100

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        parts = urlsplit(request.full_url)
        user, password = parts.username, parts.password or ""
        if user is None:
            user, password = _netrc_entry(parts.hostname or "")
        if user:
            pair = f"{unquote(user)}:{unquote(password)}".encode()
            request.add_unredirected_header(
                "Authorization", f"Basic {base64.b64encode(pair).decode()}"
            )
            bare = parts.netloc.rpartition("@")[2]
            request.full_url = urlunsplit(parts._replace(netloc=bare))
        return request

    https_request = http_request


def _netrc_entry(host: str) -> tuple[str | None, str]:
    try:
        entry = netrc.netrc().authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None, ""
    return (entry[0], entry[2] or "") if entry else (None, "")


def _local_folder(place: str) -> Path | None:
    if place.startswith("file:"):
        return Path(urllib.request.url2pathname(urlsplit(place).path))
    return None if "://" in place else expanded(place)
