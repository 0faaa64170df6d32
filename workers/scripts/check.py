"""`python -m workers.scripts.check -- COMMAND`: start a script a few times and say whether it can be searched."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from search_spaces.problems import Problem
from search_spaces.script_spec import ScriptSpec, read_script_spec

from .checking import Check
from .files import read_script_file, remember
from .report import ScriptReport

ANYTHING = r"(?!)(.)"
"""A pattern that matches nothing, where the metric is to be found."""
CHECK_SECONDS = 600.0


def main(arguments: list[str] | None = None) -> int:
    """Look at the script; 0 when it can be searched, 1 when it cannot or something is wrong."""
    flags = _parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        spec, guess = _spec(flags)
        say = (lambda _words: None) if flags.quiet else _say
        report = Check(spec, guess_metric=guess, seconds=flags.check_seconds, say=say).report()
    except Problem as problem:
        sys.stderr.write(f"etude: {problem}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("etude: interrupted; the script has ended\n")
        return 130
    if flags.remember is not None and report.fits and not guess:
        remember(spec, report.measured(), flags.remember)
    _show(report, as_json=flags.json)
    return 0 if report.fits else 1


def _show(report: ScriptReport, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(f"{report.model_dump_json(indent=2)}\n")
        return
    verdict = "It can be searched." if report.fits else "It cannot be searched like this."
    sys.stdout.write("".join(f"{line}\n" for line in [*report.words, verdict]))


def _spec(flags: argparse.Namespace) -> tuple[ScriptSpec, bool]:
    """Return the script as a task, and whether its metric is still to be found."""
    if flags.script is not None:
        return read_script_file(flags.script), False
    fields = {
        "name": "script",
        "command": flags.command,
        "directory": str(flags.directory),
        "metric": {"source": "stdout", "pattern": flags.metric or ANYTHING},
        "direction": "maximize" if flags.maximize else "minimize",
        "horizon_steps": flags.horizon_steps,
    }
    if flags.seed_flags is not None:
        fields["seed"] = {"flags": flags.seed_flags}
    return read_script_spec(fields), flags.metric is None


def _say(words: str) -> None:
    sys.stderr.write(f"... {words}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="etude check", description=__doc__.partition(": ")[2] if __doc__ else None)
    parser.add_argument("--metric", metavar="REGEX", help="what it prints of its metric; default: looked for")
    parser.add_argument("--maximize", action="store_true", help="more is better (default: less)")
    parser.add_argument("--minimize", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seed-flags", metavar="TEXT", help="how it takes a seed, such as '--seed {seed}'")
    parser.add_argument("--horizon-steps", type=int, metavar="N", help="updates of a whole training (default: counted)")
    parser.add_argument(
        "--check-seconds", type=float, default=CHECK_SECONDS, metavar="S", help="most that one start may take (600)"
    )
    parser.add_argument("--script", type=Path, metavar="FILE", help="a script file, in place of a command")
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help=argparse.SUPPRESS)
    parser.add_argument("--remember", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--quiet", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("command", nargs="*", metavar="COMMAND")
    return parser


if __name__ == "__main__":
    sys.exit(main())
