"""Fetches pip's wheel from the package index, for a Python that comes without ensurepip.

    python3 labs/fetch_pip.py FOLDER        prints the path of the wheel

Standard library only. The index is the one pip itself would use (PIP_INDEX_URL, pip.conf, else PyPI), read as the
simple index in JSON or HTML. A file whose hash is not given or does not agree is refused.
"""

import configparser
import hashlib
import json
import os
import re
import ssl
import sys
import urllib.parse
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

DEFAULT_INDEX = "https://pypi.org/simple"
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
WHEEL = re.compile(r"pip-(\d+(?:\.\d+)*)-py3-none-any\.whl$")  # no pre-releases
OLDEST_ALLOWED = re.compile(r">=\s*3\.(\d+)")


class FetchError(Exception):
    """No pip to be had; the text says why."""


def setting(name, environ=os.environ):
    """Return pip's setting `name` (such as "index-url") from the environment or its configuration files, or None."""
    value = environ.get("PIP_" + name.upper().replace("-", "_"))
    if value:
        return value
    home = Path(environ.get("HOME", "/"))
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = ["/etc/xdg/pip/pip.conf", "/etc/pip.conf", home / ".pip/pip.conf", user / "pip/pip.conf"]
    config = configparser.RawConfigParser()
    config.read([*files, environ.get("PIP_CONFIG_FILE", "")])  # later files win, as in pip
    for section in ("install", "global"):
        if config.has_option(section, name):
            return config.get(section, name).strip()
    return None


class _Links(HTMLParser):
    """Collects the attributes of every <a>."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.found.append(dict(attrs))


def wheels(body, content_type, base):
    """Return [(version tuple, address, sha256)] of the pip wheels on a simple-index page that this Python can use."""
    if "json" in content_type:
        rows = [
            (f["url"], f.get("hashes", {}).get("sha256"), f.get("requires-python"), f.get("yanked", False))
            for f in json.loads(body)["files"]
        ]
    else:
        links = _Links()
        links.feed(body)
        rows = []
        for link in links.found:
            address, _, fragment = link.get("href", "").partition("#")
            digest = fragment[len("sha256=") :] if fragment.startswith("sha256=") else None
            rows.append((address, digest, link.get("data-requires-python"), "data-yanked" in link))
    found = []
    for address, digest, requires, yanked in rows:
        name = WHEEL.search(urllib.parse.unquote(address))
        oldest = OLDEST_ALLOWED.search(requires or "")
        usable = not oldest or int(oldest.group(1)) <= sys.version_info[1]
        if name and digest and usable and yanked is False:
            version = tuple(int(part) for part in name.group(1).split("."))
            found.append((version, urllib.parse.urljoin(base, address), digest))
    return found


def fetch(folder, environ=os.environ):
    """Download the newest pip wheel into `folder` and return its path; raise FetchError when there is none to trust."""
    index = (setting("index-url", environ) or DEFAULT_INDEX).rstrip("/") + "/pip/"
    context = ssl.create_default_context(cafile=setting("cert", environ))

    def get(address):
        request = urllib.request.Request(address, headers={"Accept": ACCEPT, "User-Agent": "aurora-labs-bootstrap"})
        return urllib.request.urlopen(request, timeout=60, context=context)

    try:
        with get(index) as page:
            found = wheels(page.read().decode(), page.headers.get("Content-Type", ""), page.url)
        if not found:
            raise FetchError(f"{index} lists no pip wheel with a sha256 for this Python")
        _, address, digest = max(found)
        with get(address) as file:
            content = file.read()
    except (OSError, ValueError, KeyError) as error:
        raise FetchError(f"pip could not be fetched from {index}: {error}") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise FetchError(f"{address} does not have the sha256 that the index names")
    wheel = Path(folder) / urllib.parse.unquote(address.rpartition("/")[2])
    wheel.write_bytes(content)
    return wheel


if __name__ == "__main__":
    try:
        print(fetch(sys.argv[1]))
    except FetchError as failure:
        sys.exit(str(failure))
