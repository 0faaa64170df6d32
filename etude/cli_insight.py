"""The command that prints what a search has taught: importance."""

from __future__ import annotations

import click

from .cli_options import json_option, show, study_name
from .client import Client
from .show_insight import insight_parts


@click.command(short_help="Print what a study's search has taught.")
@study_name
@json_option()
@click.pass_obj
def importance(url: str | None, name: str, as_json: bool) -> None:
    """Print which parameters of the study NAME mattered, and what else its search has taught.

    That is: which families were tried how often and how far they came, the metric against the initial LR, and what was
    pruned where.
    """
    with Client(url) as client:
        insight = client.importance(name)
        show(as_json, insight, insight_parts(insight))
