"""The table of hostile inputs: nothing that a client sends is executed, and none of it is a defect of the service."""

from __future__ import annotations

import ast
import gzip
import ipaddress
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from service.webhooks import Allowed
from store import Store, open_store
from tests.machine import ROOT
from tests.peopled import guard

EXECUTED = "executed"
"""What an input would make in the working directory if it were run."""
HARM = f"__import__('os').mkdir('{EXECUTED}')"
STUDY: dict[str, Any] = {
    "name": "mine",
    "task": {"name": "external"},
    "objective": {"metric": "loss", "direction": "minimize"},
    "horizon": {"steps": 100},
    "budget": {"trials": 3},
}
TEMPLATE = {field: value for field, value in STUDY.items() if field != "name"}
NAMES = (
    "../../etc/passwd", "..", ".", "/etc/passwd", "a/../../b", "..\\..\\b", "a\nb", "%2e%2e%2f", "~root", "$(id)",
    "`id`", "a;id", "|id", "'; DROP TABLE etude_studies; --", "=cmd|' /C calc'!A0", "{{7*7}}", "${7*7}",
    "<svg onload=x>", "a" * 300, "\u202e", "é", "con:", "",
)  # fmt: skip
FORMULAS = (
    HARM, f"exec(\"{HARM}\")", f"eval('{HARM}')", "().__class__.__mro__[1].__subclasses__()", "u.__class__",
    "open('x')", f"[x for x in [{HARM}]]", f"lambda: {HARM}", "9**9**9**9**9", "u if __debug__ else 1",
    "'a' * 10**10", "(" * 5000, "-" * 5000 + "u", "1e999", f"f'{{{HARM}}}'", "u; import os",
    "max(" * 900 + "u" + ")" * 900, "import os", "\\",
)  # fmt: skip
NUMBERS = ("1e999", "-1e999", "NaN", "Infinity", "9" * 5000, "1" + "0" * 400, "1e-400", "true", '"1"', "[1]", "{}")
BODIES = (
    b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000, b"\x80\x04\x95cos\nsystem\n(S'id'\ntR.",
    b"!!python/object/apply:os.mkdir [executed]", b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>",
    b'{"__proto__": {"x": 1}}', b'{"name": "a", "name": "b"}', b"\xff\xfe{\x00}\x00", b"\x1f\x8b\x08\x00", b"null",
)  # fmt: skip
ADDRESSES = (
    "http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://0.0.0.0/", "http://2130706433/", "http://0x7f.1/",
    "http://169.254.169.254/latest/meta-data/", "http://hooks.example.com@127.0.0.1/", "http://hooks.example.com:22/",
    "http://hooks.example.com.evil.example/", "http://a:b@hooks.example.com/", "http://evil.example/#hooks.example.com",
    "file:///etc/passwd", "gopher://hooks.example.com/", "http://hooks.example.com\\@127.0.0.1/", "//hooks.example.com",
    "http://hooks.example.com:99999/", "http:///x", "http://[::ffff:127.0.0.1]/", "ftp://hooks.example.com/",
)  # fmt: skip
UNREACHABLE = (
    "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fc00::1", "ff02::1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "192.0.2.1",
)  # fmt: skip
RUNS_TEXT = {"eval", "exec", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads", "yaml.load",
             "yaml.unsafe_load", "marshal.loads", "shelve.open", "jinja2.Template", "Template"}  # fmt: skip

OWN_TEXT = [("workers/packing/program.py", "exec"), ("etude/cli_submit.py", "yaml.load")]
"""A program that the worker has written itself, of names that it made; and a loader of the safe kind."""


@pytest.fixture(scope="module")
def store(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store of this file's own."""
    opened = open_store(f"sqlite:///{shutil.copy(sqlite_template, tmp_path_factory.mktemp('hostile') / 'etude.db')}")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def service(store: Store) -> TestClient:
    """The application, in this process: what ran in it would run here."""
    return TestClient(create_app(store, Settings()), base_url="http://127.0.0.1", raise_server_exceptions=False)


@pytest.fixture
def api(service: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The application in an empty working directory, which has to be empty afterwards."""
    monkeypatch.chdir(tmp_path)
    yield service
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["/v1/studies", "/v1/recurrences", "/v1/tokens"])
def test_names_are_patterns(api: TestClient, path: str) -> None:
    """422 names the field, whatever stands in place of a name; nothing is stored."""
    bodies: dict[str, dict[str, Any]] = {
        "/v1/studies": STUDY,
        "/v1/recurrences": {"template": TEMPLATE, "cron": "@daily"},
        "/v1/tokens": {"scopes": ["admin"]},
    }
    for name in NAMES:
        answer = api.post(path, json=bodies[path] | {"name": name})

        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_spec"), name
        assert answer.json()["field"] == "name"
    assert api.get(path).json()["items"] == []


def test_names_in_paths_lead_nowhere(api: TestClient) -> None:
    """No file is opened by them: 404 or 422 at every address that has one, and a problem."""
    below = ("", "/best", "/best/curve.csv", "/best/code", "/report", "/trials/0", "/history")
    for name in set(NAMES) - {"", ".", ".."}:  # these a client resolves before it asks
        for end in below:
            answer = api.get(f"/v1/studies/{quote(name, safe='')}{end}", headers={"Accept": "application/json"})

            assert answer.status_code in (404, 405, 422), (name, end)
            assert "root:" not in answer.text


def test_a_formula_is_a_formula(api: TestClient) -> None:
    """422 for what is none; neither a preview nor a study evaluates it as Python."""
    for formula in FORMULAS:
        schedule = {"kind": "expression", "formula": formula}
        drawn = api.post("/v1/schedules/preview", json={"schedule": schedule, "initial_lr": 0.1, "total_steps": 10})
        current = {"optimizer": {"kind": "sgd"}, "initial_lr": 0.1, "schedule": schedule}
        submitted = api.post("/v1/studies?dry_run=true", json=STUDY | {"current": current})

        assert (drawn.status_code, submitted.status_code) == (422, 422), formula[:80]


def test_numbers_beyond_measure_are_refused(api: TestClient) -> None:
    """400 or 422 where a number has no end, no place or is none."""
    for number in NUMBERS:
        for field in ("budget", "horizon", "seed"):
            written = number if field == "seed" else f'{{"{"trials" if field == "budget" else "steps"}": {number}}}'
            body = json.dumps(STUDY | {field: "HERE"}).replace('"HERE"', written)

            answer = api.post("/v1/studies?dry_run=true", content=body, headers={"Content-Type": "application/json"})

            assert (answer.status_code in (400, 422), answer.json()["code"]) == (True, "invalid_spec"), (field, number)


def test_bodies_that_are_no_documents_are_refused(api: TestClient) -> None:
    """Nesting without end, pickles, YAML, XML, half a character: 400 or 422, under every media type."""
    for body in BODIES:
        for kind in ("application/json", "application/x-pickle", "application/yaml", "text/xml", "text/plain"):
            answer = api.post("/v1/studies", content=body, headers={"Content-Type": kind})

            assert (answer.status_code in (400, 422), answer.json()["code"]) == (True, "invalid_spec"), body[:40]


def test_what_is_quoted_in_an_export_stays_text(api: TestClient) -> None:
    """A task, a tag and a parameter that look like code or a template come back as they were, and as no page's code."""
    harm = '"); ' + HARM + "  # {{ 7 * 7 }} <script>x</script>"
    named = STUDY | {"name": "quoted", "tags": [harm[:60]]}
    assert api.post("/v1/studies", json=named).status_code == 201

    report, start = api.get("/v1/studies/quoted/report").text, api.get("/").text
    tag = api.get("/v1/studies/quoted").json()["spec"]["tags"]

    assert tag == [harm[:60]]
    assert "<script>x" not in report + start
    assert "# {{ 7 * 7" in start


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_webhook_is_told_to_listed_hosts_only(address: str) -> None:
    """However the address is spelt; the list names the host and nothing else of it."""
    allowed = Allowed.by(Settings(webhook_hosts="hooks.example.com"))

    assert allowed.refusal("https://hooks.example.com/x") is None
    assert allowed.refusal(address) is not None


def test_a_webhook_s_host_has_to_be_public() -> None:
    """A listed name that resolves to this machine, its network or the cloud's metadata is not called."""
    allowed = Allowed.by(Settings(webhook_hosts="hooks.example.com"))

    reached = [address for address in UNREACHABLE if allowed.lets_reach(ipaddress.ip_address(address))]

    assert reached == []
    assert allowed.lets_reach(ipaddress.ip_address("93.184.215.14"))


FORGED = ("\r\nSet-Cookie: forged=1", "\nLocation: https://evil.example/", '"><script>x</script>', "{{7*7}}", "\u2028x")
"""Ends of a line, of an attribute and of a template's text."""


@pytest.fixture(scope="module")
def behind_a_token(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """An application that sends strangers to its form."""
    opened = open_store(f"sqlite:///{shutil.copy(sqlite_template, tmp_path_factory.mktemp('form') / 'etude.db')}")
    guard(opened)
    yield TestClient(create_app(opened, Settings()), base_url="http://127.0.0.1", follow_redirects=False)
    opened.close()


@pytest.mark.parametrize("forged", FORGED)
def test_nothing_that_is_sent_becomes_a_header_or_a_page(behind_a_token: TestClient, forged: str) -> None:
    """Where a path, a query, a form or an id comes back, it is a value within its header, and text on its page."""
    page = {"Accept": "text/html"}
    sent = quote(forged, safe="")
    answers = [
        behind_a_token.get(f"/v1/studies/{sent}?tag={sent}", headers=page),
        behind_a_token.get(f"/login?next={sent}", headers=page),
        behind_a_token.get(f"/login?next=/{sent}", headers=page),
        behind_a_token.post("/login", data={"token": "none", "next": f"/{forged}"}),
        behind_a_token.get("/healthz", headers={"X-Request-Id": forged.encode()}),
    ]

    assert [answer.status_code for answer in answers] == [303, 200, 200, 401, 200]
    for answer in answers:
        lines = [f"{name}: {value}" for name, value in answer.headers.items()]
        assert not any("\r" in line or "\n" in line for line in lines)
        assert "set-cookie" not in answer.headers
        assert not answer.headers.get("location", "").startswith(("http", "//"))
        assert not any(sign in answer.text for sign in ("<script>x", ">49<", "evil.example/\n"))


def test_a_small_body_that_would_be_a_large_one_is_not_unpacked(api: TestClient) -> None:
    """A thousandth of its size is sent: what says that it is packed is no JSON, and nothing unpacks it."""
    packed = gzip.compress(b'{"name": "' + b"a" * 20_000_000 + b'"}', compresslevel=1)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    answer = api.post("/v1/studies", content=packed, headers=headers)

    assert len(packed) < 200_000
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_spec")


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func)


def test_no_source_runs_text() -> None:
    """No eval, no unpickling, no shell, no template from a string; torch.load only with weights_only."""
    found = []
    for file in (file for package in ("search_spaces", "store", "service", "workers", "etude")
                 for file in sorted((ROOT / package).rglob("*.py"))):  # fmt: skip
        for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
            keywords = {word.arg: ast.unparse(word.value) for word in call.keywords}
            unsafe = _called(call) == "torch.load" and keywords.get("weights_only") != "True"
            if _called(call) in RUNS_TEXT or unsafe or keywords.get("shell") == "True":
                found.append((str(file.relative_to(ROOT)), _called(call)))

    assert found == OWN_TEXT
