"""The shape of a log line: JSON for programs, words and pairs for people, and no secrets in either."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from search_spaces.log import HIDDEN, LineFormatter, bind, bound

ROOT = Path(__file__).parents[3]
TOKEN = "etude_" + "x9Y-" * 11


@pytest.fixture(params=["json", "pretty"])
def written(request: pytest.FixtureRequest) -> Iterator[StringIO]:
    """What the loggers below `lines` write, in each form."""
    stream = StringIO()
    channel = logging.StreamHandler(stream)
    channel.setFormatter(LineFormatter(pretty=request.param == "pretty"))
    logger = logging.getLogger("lines")
    logger.addHandler(channel)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield stream
    logger.removeHandler(channel)


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_a_line_is_one_json_object(written: StringIO) -> None:
    """Time, level and event, then what is bound, in whichever way, then the event's own fields; None is left out."""
    log = bind("lines.a", worker="w1").bind(study="s")

    with bound(request_id="r1"):
        log.info("complete", value=0.123456789, steps=510, reason=None, logger="mine")
    log.warning("stopped", worst=float("nan"))

    first, second = (json.loads(line) for line in written.getvalue().splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "info", "event": "complete", "request_id": "r1", "worker": "w1", "study": "s", "value": 0.123456789,
        "steps": 510, "logger": "lines.a",
    }  # fmt: skip
    assert (second["level"], second["worst"], "request_id" in second) == ("warning", "nan", False)


@pytest.mark.parametrize("written", ["pretty"], indirect=True)
def test_a_line_for_people_is_an_event_and_pairs(written: StringIO) -> None:
    """Numbers are short, and text that could be taken for more than one word is quoted."""
    log = bind("lines.a", worker="w1")

    log.info("failed", value=0.123456789, reason='two\nlines "quoted"', detail="")

    time, level, said = written.getvalue().rstrip("\n").split(maxsplit=2)
    assert (len(time), level) == (len("16:17:21.123Z"), "info")
    assert said == r'failed worker=w1 value=0.123457 reason="two\nlines \"quoted\"" detail=""'


def test_what_is_not_shown_is_not_written(written: StringIO) -> None:
    """An event below the level costs nothing and leaves nothing."""
    bind("lines.a").debug("request", path="/healthz")

    assert written.getvalue() == ""


def test_a_library_s_record_is_an_event_on_one_line(written: StringIO) -> None:
    """Its text is the event, with line breaks escaped: nobody forges a line."""
    logging.getLogger("lines.library").warning("odd %s", 'thing\n{"event": "forged"}')

    [line] = written.getvalue().splitlines()
    assert "odd thing" in line
    assert "lines.library" in line


def test_a_defect_has_its_traceback(written: StringIO) -> None:
    """Of the exception that is being handled; JSON holds it in its own field, on the same line."""
    try:
        int("the cause")
    except ValueError:
        bind("lines.a").exception("step_failed", study="s")

    text = written.getvalue()
    assert "ValueError: invalid literal" in text
    assert len(text.splitlines()) == 1 or text.splitlines()[1].startswith("Traceback")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"Authorization: Bearer {TOKEN}", f"Authorization: Bearer {HIDDEN}"),
        (f"token {TOKEN} is unknown", f"token {HIDDEN} is unknown"),
        ("postgresql://etude:secret@db/etude", f"postgresql://{HIDDEN}@db/etude"),
        ("etude_http_request_duration_seconds", "etude_http_request_duration_seconds"),
    ],
)
def test_secrets_are_hidden(written: StringIO, text: str, shown: str) -> None:
    """Tokens and passwords of URLs, in an event's fields and in records of libraries."""
    bind("lines.a").warning("odd", detail=text)
    logging.getLogger("lines.library").warning(text)

    assert written.getvalue().count(shown) == 2


CRASHING = """
from search_spaces.log import write_to_stderr
write_to_stderr("lines", "json")
raise ValueError("out of luck")
"""


def test_a_crash_is_an_event_too() -> None:
    """What ends a process unforeseen is one line as well, with its traceback; the status is 1 as ever."""
    done = subprocess.run(
        [sys.executable, "-c", CRASHING], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    [line] = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert (line["level"], line["event"]) == ("critical", "crashed")
    assert "ValueError: out of luck" in line["traceback"]
