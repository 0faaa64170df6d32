"""`python -m workers.scripts.check`: start a script a few times and say whether it can be searched."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from search_spaces.problems import Problem
from search_spaces.script_spec import ScriptSpec

from .checking import Check
from .files import in_directory, read_script_file, remember, remembered
from .report import ScriptReport

CHECK_SECONDS = 600.0
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Look at the script; 0 when it can be searched, 1 when it cannot or something is wrong."""
    flags = _parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        report = _report(flags)
    except Problem as problem:
        sys.stderr.write(f"etude: {problem}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("etude: interrupted; the script has ended\n")
        return INTERRUPTED
    if flags.json:
        sys.stdout.write(f"{report.model_dump_json(indent=2)}\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in report.lines()))
    return 0 if report.fits else 1


def _report(flags: argparse.Namespace) -> ScriptReport:
    """Look at the script, unless what was seen of this version of it is remembered."""
    spec = read_script_file(flags.script) if flags.script is not None else _spoken(flags.spec)
    known = remembered(spec, flags.remember, ScriptReport) if flags.remember is not None else None
    if known is not None:
        return known
    report = Check(spec, guess_metric=flags.guess, seconds=flags.check_seconds, say=_say).report()
    if flags.remember is not None and report.fits:
        remember(spec, report, flags.remember)
    return report


def _spoken(text: str) -> ScriptSpec:
    return in_directory(json.loads(text), Path.cwd())


def _say(words: str) -> None:
    sys.stderr.write(f"... {words}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workers.scripts.check", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--script", type=Path, metavar="FILE", help="a script file")
    which.add_argument("--spec", metavar="JSON", help="the fields of a script file")
    parser.add_argument("--guess", action="store_true", help="look for the metric in what the script prints")
    parser.add_argument(
        "--check-seconds", type=float, default=CHECK_SECONDS, metavar="S", help="most that one start may take (600)"
    )
    parser.add_argument("--remember", type=Path, metavar="DIR", help="keep what was seen below this data directory")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
