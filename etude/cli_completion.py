"""The command that prints what a shell needs to complete our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

PROGRAM = "etude"
VARIABLE = "_ETUDE_COMPLETE"


@click.command(short_help="Print a shell's completion of these commands.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script with which SHELL completes commands, options, studies and tasks; bash from 4.4 on.

    \b
    eval "$(etude completion bash)"                        in ~/.bashrc
    eval "$(etude completion zsh)"                         in ~/.zshrc
    etude completion fish > ~/.config/fish/completions/etude.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(context.find_root().command, {}, PROGRAM, VARIABLE).source())
