"""The dashboard's files as a browser gets them: closed to everything else, open to who has no key yet."""

import hashlib
import re
from pathlib import Path

import httpx2
import pytest

from tests.transports.http.scripted_gateway import ScriptedGateway
from tests.transports.http.serving import Serving, serving
from transports.http.limits import HttpSecurity

FOLDER = Path(__file__).resolve().parents[3] / "transports" / "http" / "dashboard"
OWN = sorted(path for path in FOLDER.glob("*") if path.suffix in (".js", ".html", ".css", ".svg"))
# Of the package uplot 1.6.32.
VENDORED = {
    "uPlot.esm.js": "5dd9b3281aa64b461b42d9945f6adb2649d346502b12281a9ae0d46599a80eba",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}


def test_the_page_may_load_nothing_but_its_own_files(server: Serving):
    answer = httpx2.get(server.url + "/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert httpx2.head(server.url + "/").status_code == 200


def test_every_file_is_served_as_what_it_is_and_is_kept_by_the_browser(server: Serving):
    with httpx2.Client(base_url=server.url) as client:
        for path in OWN:
            answer = client.get(f"/dashboard/{path.name}")
            assert answer.content == path.read_bytes()
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "content-security-policy" in answer.headers
            again = client.get(f"/dashboard/{path.name}", headers={"if-none-match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
    assert len(OWN) > 10


def test_nothing_else_is_a_file(server: Serving):
    names = ("nothing.js", "../dashboard_endpoint.py", "%2e%2e/app.py", "vendor/uPlot.LICENSE", "")
    answers = [httpx2.get(f"{server.url}/dashboard/{name}") for name in names]
    assert [answer.status_code for answer in answers] == [404] * len(names)
    assert {answer.json()["error"]["code"] for answer in answers} == {"not_found"}


def test_the_page_needs_no_key_but_what_it_asks_for_does():
    with serving(ScriptedGateway(), security=HttpSecurity(api_key="secret")) as server:
        statuses = {path: httpx2.get(server.url + path).status_code for path in ("/", "/dashboard/main.js", "/cluster")}
    assert statuses == {"/": 200, "/dashboard/main.js": 200, "/cluster": 401}


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_nothing_is_made_from_markup_or_from_elsewhere(path: Path):
    text = path.read_text(encoding="utf-8")
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|javascript:"
    assert re.findall(sinks, text) == []
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)[^\s\"']+", text) == []
    assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=\"", text) == []


@pytest.mark.parametrize(("name", "digest"), VENDORED.items())
def test_vendored_files_are_as_they_were_published(name: str, digest: str):
    assert hashlib.sha256((FOLDER / "vendor" / name).read_bytes()).hexdigest() == digest
