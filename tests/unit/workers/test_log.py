"""The worker's log: one line an event, which a program can take apart."""

from __future__ import annotations

import logging

import pytest

from workers.log import bind


def test_an_event_is_a_line_of_pairs(caplog: pytest.LogCaptureFixture) -> None:
    """The event first, then what is bound, then its own fields; what is None is left out."""
    log = bind("workers.test", worker="w1").bind(study="s")

    with caplog.at_level(logging.INFO):
        log.info("complete", value=0.123456789, steps=510, reason=None)

    assert caplog.messages == ["event=complete worker=w1 study=s value=0.123457 steps=510"]


def test_text_stays_on_its_line(caplog: pytest.LogCaptureFixture) -> None:
    """A value with spaces, quotes or line breaks is quoted, and an empty one is seen."""
    log = bind("workers.test")

    log.warning("failed", reason='two\nlines "quoted"', detail="")

    assert caplog.messages == [r'event=failed reason="two\nlines \"quoted\"" detail=""']
