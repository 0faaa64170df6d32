"""Commands of tokens: `etude token ...`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from rich.table import Table

from search_spaces.tokens import SCOPES, Scope, TokenView

from .cli_options import AS_JSON, json_option, plain, print_json, show_list
from .cli_parts import become
from .client import Client

DAY_SECONDS = 86_400.0


def _on_store() -> Callable[[Any], Any]:
    says = "On the store of ETUDE_DATABASE_URL itself, not over the service: for the first token. Needs a checkout."
    return click.option("--on-store", is_flag=True, help=says)


def _as_json(context: click.Context) -> list[str]:
    return ["--json"] * bool(context.meta.get(AS_JSON))


@click.group(short_help="Tokens: make, list, revoke.")
def token() -> None:
    """Tokens of a service. From the first one on every request needs one."""


@token.command(short_help="Make a token and print it, this once.")
@click.argument("name")
@click.option("--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True, help="Repeatable.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="How long it holds; else until revoked.")
@_on_store()
@json_option()
@click.pass_context
def create(
    context: click.Context, name: str, scopes: tuple[Scope, ...], days: float | None, on_store: bool, as_json: bool
) -> None:
    """Make the token NAME and print it, this once: only its hash is kept.

    \b
    read    read everything but tokens
    submit  submit, change and delete studies and recurrences
    work    claim, report and finish trials: what a worker needs
    admin   everything, tokens included
    """
    if on_store:
        chosen = [word for scope in scopes for word in ("--scope", scope)]
        until = [] if days is None else ["--days", str(days)]
        become("store", "token", "create", name, *chosen, *until, *_as_json(context))
        return
    with Client(context.obj) as client:
        seconds = None if days is None else days * DAY_SECONDS
        made = client.tokens.create(name, scopes, expires_in_seconds=seconds)
    if as_json:
        print_json(plain(made))
    else:
        click.echo(made.token)


@token.command("list", short_help="List tokens.")
@_on_store()
@json_option()
@click.pass_context
def list_(context: click.Context, on_store: bool, as_json: bool) -> None:
    """List tokens with scopes, expiry and last use; never their secrets."""
    if on_store:
        become("store", "token", "list", *_as_json(context))
        return
    with Client(context.obj) as client:
        rows = list(client.tokens.list())
    show_list(as_json, rows, _table(rows), "no token yet: `etude token create NAME --scope admin` makes the first")


@token.command(short_help="Revoke a token.")
@click.argument("name")
@_on_store()
@json_option('Print {"revoked": NAME}.')
@click.pass_context
def revoke(context: click.Context, name: str, on_store: bool, as_json: bool) -> None:
    """Let the token NAME, and who has logged in with it, open nothing more: within a second everywhere."""
    if on_store:
        become("store", "token", "revoke", name, *_as_json(context))
        return
    with Client(context.obj) as client:
        client.tokens.revoke(name)
    if as_json:
        print_json({"revoked": name})
    else:
        click.echo(f"{name} is revoked")


def _table(rows: list[TokenView]) -> Table:
    table = Table("name", "id", "scopes", "expires", "last used", "revoked", box=None)
    for row in rows:
        times = (row.expires_at, row.last_used_at, row.revoked_at)
        shown = [time.isoformat(" ", "minutes") if time else "" for time in times]
        table.add_row(row.name, row.id, ",".join(row.scopes), *shown)
    return table
