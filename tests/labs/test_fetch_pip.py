"""Getting pip without ensurepip, from an index served on this machine."""

import hashlib
import http.server
import json
import sys
import threading
from pathlib import Path

import pytest

from labs import bootstrap, fetch_pip

NEW, OLD = "pip-30.1-py3-none-any.whl", "pip-9.0.3-py3-none-any.whl"


def digest(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def index():
    """A web server on the loopback address: a dict of path -> (content type, bytes) to fill, and its address."""
    pages = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            kind, body = pages.get(self.path, (None, b""))
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind or "text/plain")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield pages, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def html_page(files):
    """A simple-index page of (name, content, more attributes)."""
    links = [f'<a href="/files/{name}#sha256={digest(body)}" {more}>{name}</a>' for name, body, more in files]
    return "text/html", "\n".join(links).encode()


def json_page(files):
    rows = [{"filename": name, "url": f"/files/{name}", "hashes": {"sha256": digest(body)}} for name, body, _ in files]
    return "application/vnd.pypi.simple.v1+json", json.dumps({"files": rows}).encode()


@pytest.mark.parametrize("page", [html_page, json_page])
def test_newest_wheel_is_fetched(index, tmp_path, page):
    pages, address = index
    pages["/simple/pip/"] = page([(OLD, b"old", ""), (NEW, b"new", ""), ("pip-31.0b1-py3-none-any.whl", b"beta", "")])
    pages[f"/files/{NEW}"] = ("application/zip", b"new")
    wheel = fetch_pip.fetch(tmp_path, {"PIP_INDEX_URL": f"{address}/simple/"})
    assert (wheel.name, wheel.read_bytes()) == (NEW, b"new")


def test_yanked_and_too_new_wheels_are_passed_over(index, tmp_path):
    pages, address = index
    too_new = f'data-requires-python="&gt;=3.{sys.version_info[1] + 1}"'
    pages["/pip/"] = html_page(
        [(OLD, b"old", ""), (NEW, b"new", 'data-yanked="bad"'), ("pip-40.0-py3-none-any.whl", b"x", too_new)]
    )
    pages[f"/files/{OLD}"] = ("application/zip", b"old")
    assert fetch_pip.fetch(tmp_path, {"PIP_INDEX_URL": address}).name == OLD


def test_wrong_hash_is_refused(index, tmp_path):
    pages, address = index
    pages["/pip/"] = html_page([(NEW, b"new", "")])
    pages[f"/files/{NEW}"] = ("application/zip", b"something else")
    with pytest.raises(fetch_pip.FetchError, match="sha256"):
        fetch_pip.fetch(tmp_path, {"PIP_INDEX_URL": address})
    assert not list(tmp_path.iterdir())


def test_missing_page_and_page_without_hashes(index, tmp_path):
    pages, address = index
    with pytest.raises(fetch_pip.FetchError, match="could not be fetched"):
        fetch_pip.fetch(tmp_path, {"PIP_INDEX_URL": address})
    pages["/pip/"] = ("text/html", f'<a href="/files/{NEW}">{NEW}</a>'.encode())
    with pytest.raises(fetch_pip.FetchError, match="lists no pip wheel"):
        fetch_pip.fetch(tmp_path, {"PIP_INDEX_URL": address})


def test_index_comes_from_the_environment_then_from_pip_conf(tmp_path):
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = http://house/simple\n")
    environ = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(config)}
    assert fetch_pip.setting("index-url", environ) == "http://house/simple"
    assert fetch_pip.setting("index-url", {**environ, "PIP_INDEX_URL": "http://other"}) == "http://other"


def test_environment_without_ensurepip_gets_pip_from_the_index(index, tmp_path, monkeypatch, capsys):
    """The real thing: a virtual environment whose pip comes as a wheel from the index."""
    ensurepip = pytest.importorskip("ensurepip", reason="this Python brings no pip wheel to serve")
    wheels = list(Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl"))
    if not wheels:
        pytest.skip("this Python brings no pip wheel to serve")
    body = wheels[0].read_bytes()
    pages, address = index
    pages["/pip/"] = html_page([(wheels[0].name, body, "")])
    pages[f"/files/{wheels[0].name}"] = ("application/zip", body)
    monkeypatch.setenv("PIP_INDEX_URL", address)
    real, venv = bootstrap.quietly, tmp_path / "venv"
    plain = [sys.executable, "-m", "venv", str(venv)]
    monkeypatch.setattr(bootstrap, "quietly", lambda command: (1, "") if command == plain else real(command))
    bootstrap.make_venv(venv)
    assert bootstrap.is_healthy(venv)
    assert "fetching it from the package index" in capsys.readouterr().out


def test_neither_way_names_the_package_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(bootstrap, "quietly", lambda command: (1, "nothing works"))
    with pytest.raises(bootstrap.BootstrapError, match=r"nothing works\n.*sudo apt-get install python3-venv"):
        bootstrap.make_venv(tmp_path / "venv")
