"""The command line: `etude`."""

from __future__ import annotations

import json
from typing import Any

import click

from search_spaces.problems import InvalidSpec, NotFound, NotReady, Problem, StoreUnavailable

from . import (
    cli_answer,
    cli_changes,
    cli_completion,
    cli_history,
    cli_insight,
    cli_parts,
    cli_recurrences,
    cli_schedules,
    cli_script,
    cli_studies,
    cli_submit,
    cli_tokens,
    cli_train,
    cli_watch,
)
from .checkout import NoCheckout
from .cli_options import AS_JSON
from .http import ServiceUnreachable
from .parts import PartFailed
from .past import UnreadablePast
from .ports import PortTaken
from .settings import WrongSetting

EXIT_STATUS: dict[type[Exception], int] = {
    NoCheckout: 5,
    NotFound: 4,
    ServiceUnreachable: 3,
    StoreUnavailable: 3,
    NotReady: 3,
    WrongSetting: 2,
    UnreadablePast: 2,
    Problem: 1,
    PartFailed: 1,
    PortTaken: 1,
    TimeoutError: 1,
}
"""What ends a command with a sentence instead of a traceback, and with which status; the first that fits."""
INTERRUPTED = 130

EPILOG = """\b
Exit status:
  0    it worked
  1    it did not: the service refused, or the study was stopped or has failed
  2    the command line, a setting or a file is wrong
  3    the service cannot be reached, or cannot reach its store: worth trying again
  4    there is no study or trial of this name
  5    a command that starts parts or scripts found no checkout of Étude to start from
  130  Ctrl-C
`search` has its own: 0 winner, 3 no winner, 4 undecided, 5 as above, 1 any other error.
With --json an error other than 2 is JSON on stderr: its `detail`, with `code` and `field` where the service said them.
\b
Settings from the environment:
  ETUDE_URL, ETUDE_TOKEN    the service that commands talk to (http://127.0.0.1:8000)
  ETUDE_SHARED              instead: the directory of `up --shared`, where address and token are found
  ETUDE_TOKEN_FILE          a file with the token that only you can read (~/.config/etude/token)
  ETUDE_DATA_DIR            where `up` keeps its store and logs (./var)
  ETUDE_DATABASE_URL        another store, e.g. PostgreSQL (SQLite in ETUDE_DATA_DIR)
  ETUDE_DATABASE_PASSWORD_FILE    a file with its password, which the URL then does not name
  ETUDE_HOST, ETUDE_PORT, ETUDE_DASHBOARD_PORT    where `up` listens (127.0.0.1, 8000, 8080)
  ETUDE_ADMIN_TOKEN         an admin token of your own choice for the service of `up`, or its file: ..._TOKEN_FILE
  ETUDE_TAKEOVER_SECONDS    without a sign of life for so long another machine of `up --shared` serves (30)
  ETUDE_SQLITE_ON_NETWORK   1 lets an SQLite store lie on a network file system, at your risk
  ETUDE_LEASE_SECONDS       how long a silent worker keeps a trial (60)
  ETUDE_WEBHOOK_HOSTS       hosts that recurrences may tell of their nights, with commas (none)
  ETUDE_WEBHOOK_NETWORKS    networks beyond the public internet in which those may be, 10.0.0.0/8 (none)
  ETUDE_WEBHOOK_KEY_FILE    the key that the store's webhooks are sealed with (SQLite: one is made beside the store)
  ETUDE_CHECKPOINTS         where workers save trainings, a path or an fsspec URL (checkpoints in ETUDE_DATA_DIR)
  ETUDE_CHECKPOINT_SECONDS  training between two of a trial's (5; 0: saved at every rung)
  ETUDE_METRICS_PORT, ETUDE_METRICS_HOST    where `worker` shows its metrics (nowhere, 127.0.0.1)
  ETUDE_PULSE_FILE          whose time a worker, a coordinator or a clock sets while it goes on, for a probe (none)
"""

LOGGED_STATUS = 500
"""From here on it is the service's operator who has to look."""


class Commands(click.Group):
    """A group whose commands end expected failures with one sentence on stderr."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; known failures become their exit status."""
        try:
            return super().invoke(ctx)
        except tuple(EXIT_STATUS) as error:
            click.echo(_words(error, as_json=bool(ctx.meta.get(AS_JSON))), err=True)
            ctx.exit(next(status for kind, status in EXIT_STATUS.items() if isinstance(error, kind)))
        except KeyboardInterrupt:
            click.echo("", err=True)
            ctx.exit(INTERRUPTED)


def _words(error: Exception, *, as_json: bool) -> str:
    if not as_json:
        # Which field it is helps where there are many, in a spec; elsewhere the sentence says it.
        said = error.detail if isinstance(error, Problem) and not isinstance(error, InvalidSpec) else error
        logged = isinstance(error, Problem) and error.status >= LOGGED_STATUS and error.request_id
        return f"etude: {said} (request {logged} in the service's log)" if logged else f"etude: {said}"
    document = error.document() if isinstance(error, Problem) else {"detail": str(error)}
    return json.dumps(document, ensure_ascii=False)


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--url", metavar="URL", help="Address of the service; else ETUDE_URL, else this machine's.")
@click.version_option(package_name="etude", message="%(version)s")
@click.pass_context
def main(context: click.Context, url: str | None) -> None:
    """Étude searches learning-rate schedules.

    `etude demo` shows the whole way on real data; `etude up` keeps a service running, `etude submit` gives it a
    study, `etude best` prints the answer.
    """
    context.obj = url


for command in (
    cli_parts.up,
    cli_parts.demo,
    cli_parts.worker,
    cli_parts.store,
    cli_parts.task,
    cli_script.check,
    cli_script.search,
    cli_train.train,
    cli_submit.plan,
    cli_submit.submit,
    cli_history.import_,
    cli_studies.status,
    cli_watch.watch,
    cli_answer.best,
    cli_insight.importance,
    cli_answer.curve,
    cli_schedules.code,
    cli_schedules.explain,
    cli_answer.export,
    cli_studies.trials,
    cli_studies.history,
    cli_studies.workers,
    cli_changes.pause,
    cli_changes.resume,
    cli_changes.stop,
    cli_changes.delete,
    cli_recurrences.recurrence,
    cli_tokens.token,
    cli_completion.completion,
):
    main.add_command(command)
