"""Which scope each route needs: the one table."""

from __future__ import annotations

import re
from typing import NamedTuple

from search_spaces.tokens import Scope

OPEN = frozenset({"/healthz", "/readyz", "/login", "/logout"})
"""Paths that need no token: what a probe asks, and where a person shows one."""
READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Rule(NamedTuple):
    """One operation and what it needs; `{...}` in the path stands for one part of it."""

    method: str
    path: str
    scope: Scope


RULES = (
    Rule("GET", "/v1/tokens", "admin"),
    Rule("POST", "/v1/tokens", "admin"),
    Rule("DELETE", "/v1/tokens/{name}", "admin"),
    Rule("POST", "/v1/schedules/preview", "read"),
    Rule("POST", "/v1/studies", "submit"),
    Rule("PATCH", "/v1/studies/{name}", "submit"),
    Rule("DELETE", "/v1/studies/{name}", "submit"),
    Rule("POST", "/v1/studies/{name}/history", "submit"),
    Rule("POST", "/v1/recurrences", "submit"),
    Rule("PATCH", "/v1/recurrences/{name}", "submit"),
    Rule("DELETE", "/v1/recurrences/{name}", "submit"),
    Rule("POST", "/v1/recurrences/{name}/runs", "submit"),
    Rule("POST", "/v1/studies/{name}/trials", "work"),
    Rule("POST", "/v1/studies/{name}/trials/{number}/reports", "work"),
    Rule("PUT", "/v1/studies/{name}/trials/{number}/result", "work"),
    Rule("POST", "/v1/work/claim", "work"),
    Rule("POST", "/v1/work/renew", "work"),
    Rule("POST", "/v1/work/report", "work"),
    Rule("POST", "/v1/work/finish", "work"),
    Rule("POST", "/v1/work/release", "work"),
    Rule("GET", "/v1/work/backlog", "work"),
    Rule("PUT", "/v1/workers/{worker}", "work"),
)
"""Reads that are not listed need `read`; what else is not listed needs `admin`."""


def _pattern(rule: Rule) -> re.Pattern[str]:
    parts = re.split(r"\{\w+\}", rule.path)
    return re.compile("[^/]+".join(re.escape(part) for part in parts) + "/?")


_COMPILED = [(rule, _pattern(rule)) for rule in RULES]


def rule_for(method: str, path: str) -> Rule | None:
    """Return the row that is about a request, if there is one; HEAD is GET."""
    asked = "GET" if method == "HEAD" else method
    for rule, pattern in _COMPILED:
        if rule.method == asked and pattern.fullmatch(path):
            return rule
    return None


def scope_of(method: str, path: str) -> Scope:
    """Return the scope that a request needs.

    >>> scope_of("POST", "/v1/work/claim"), scope_of("GET", "/v1/studies/mine"), scope_of("PUT", "/v1/unheard-of")
    ('work', 'read', 'admin')
    """
    rule = rule_for(method, path)
    if rule is not None:
        return rule.scope
    return "read" if method in READING else "admin"
