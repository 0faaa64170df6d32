"""`python -m store upgrade | check | backup FILE | token ...`: the tables' version, a copy of them, tokens."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from search_spaces.model import problem_from_validation
from search_spaces.problems import InvalidSpec, Problem
from search_spaces.tokens import SCOPES, TokenRequest

from .backup import back_up
from .engine import Store, open_store
from .settings import StoreSettings
from .tokens import create_token, list_tokens, revoke_token

DAY_SECONDS = 86_400.0


def main(arguments: list[str] | None = None) -> int:
    """Run one act on ETUDE_DATABASE_URL; 0 when it is done, or the tables are up to date."""
    flags = _parser().parse_args(arguments)
    try:
        store = open_store(StoreSettings().url, upgrade=flags.act not in ("check", "backup"))
    except Problem as problem:
        return _refused(problem, flags)
    try:
        _say(*_act(store, flags), flags)
    except Problem as problem:
        return _refused(problem, flags)
    finally:
        store.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m store", description=__doc__)
    acts = parser.add_subparsers(dest="act", required=True)
    for act, says in (("upgrade", "bring the tables up to date"), ("check", "say whether they are")):
        _with_json(acts.add_parser(act, help=says))
    copy = _with_json(acts.add_parser("backup", help="copy an SQLite store while it is in use"))
    copy.add_argument("file", type=Path)
    token = acts.add_parser("token", help="make, list and revoke tokens").add_subparsers(dest="deed", required=True)
    create = _with_json(token.add_parser("create", help="make a token and print it, this once"))
    create.add_argument("name")
    create.add_argument("--scope", action="append", choices=SCOPES, required=True)
    create.add_argument("--days", type=float, help="how long it holds (default: until it is revoked)")
    _with_json(token.add_parser("list", help="list tokens"))
    _with_json(token.add_parser("revoke", help="revoke a token")).add_argument("name")
    return parser


def _with_json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--json", action="store_true", help="print one JSON document, or a problem on stderr")
    return parser


def _act(store: Store, flags: argparse.Namespace) -> tuple[str, object]:
    """Do it; return what a person reads, and the same for programs."""
    if flags.act == "backup":
        size = back_up(store, flags.file)
        return f"{flags.file}: {size} bytes", {"file": str(flags.file), "bytes": size}
    if flags.act != "token":
        return "the store's tables are up to date", {"up_to_date": True}
    if flags.deed == "create":
        made = create_token(store, _request(flags))
        return made.token, made.model_dump(mode="json")
    if flags.deed == "list":
        views = [view.model_dump(mode="json") for view in list_tokens(store, limit=10_000).items]
        return "\n".join(f"{view['name']}  {','.join(view['scopes'])}  {_state(view)}" for view in views), {
            "items": views
        }
    revoke_token(store, flags.name)
    return f"{flags.name} is revoked", {"revoked": flags.name}


def _request(flags: argparse.Namespace) -> TokenRequest:
    seconds = None if flags.days is None else flags.days * DAY_SECONDS
    try:
        return TokenRequest(name=flags.name, scopes=flags.scope, expires_in_seconds=seconds)
    except ValidationError as error:
        raise problem_from_validation(error) from None


def _state(view: dict[str, Any]) -> str:
    return "revoked" if view["revoked_at"] else f"until {view['expires_at'] or 'revoked'}"


def _say(words: str, document: object, flags: argparse.Namespace) -> None:
    sys.stdout.write(f"{json.dumps(document) if flags.json else words}\n")


def _refused(problem: Problem, flags: argparse.Namespace) -> int:
    sys.stderr.write(f"{json.dumps(problem.document()) if flags.json else problem}\n")
    return 2 if isinstance(problem, InvalidSpec) else 1


if __name__ == "__main__":
    sys.exit(main())
