"""What a webhook is sent, in each of its formats."""

from __future__ import annotations

import json
from typing import Any

from search_spaces.recurrence import WebhookFormat
from store.nights import FAILED

TYPES: dict[WebhookFormat, str] = {
    "json": "application/json",
    "slack": "application/json",
    "markdown": "text/markdown; charset=utf-8",
}
SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""What Slack asks to be escaped in a text."""
MARKDOWN = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>#|!~"})


def body_of(format_: WebhookFormat, event: str, night: dict[str, Any]) -> bytes:
    """Write a message about `night`, a run as JSON with `verdict_before`."""
    if format_ == "json":
        document: dict[str, Any] = {"schema_version": 1, "event": event, "night": night}
        return json.dumps(document).encode()
    if format_ == "slack":
        text = "\n".join([f"*{_heading(event, night)}*", *_lines(event, night)])
        return json.dumps({"text": text.translate(SLACK)}).encode()
    return _markdown(event, night).encode()


def _heading(event: str, night: dict[str, Any]) -> str:
    name = night["study"] or night["recurrence"]
    if event == FAILED:
        return f"{name} has failed"
    before = night.get("verdict_before")
    return f"{name}: {night['verdict']}" + (f", before: {before}" if before else "")


def _lines(event: str, night: dict[str, Any]) -> list[str]:
    if event == FAILED:
        return [night["reason"] or "no reason is known"]
    difference = night["difference"]
    said = [night["sentence"] or ""]
    if difference is not None:
        low, high = (float(end) for end in difference["interval"])
        gain = float(difference["gain"])
        said.append(f"Gain over the schedule in use: {gain:.3g} ({low:.3g} to {high:.3g}, {difference['n']} seeds).")
    return [*said, *night["notes"]]


def _markdown(event: str, night: dict[str, Any]) -> str:
    lines = [f"- {line.translate(MARKDOWN)}" for line in _lines(event, night) if line]
    return "\n".join([f"## {_heading(event, night).translate(MARKDOWN)}", "", *lines, ""])
