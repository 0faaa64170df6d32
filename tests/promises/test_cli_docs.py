"""docs/cli.md says what the commands say of themselves, and its examples are commands."""

from __future__ import annotations

from etude.cli import EXIT_STATUS
from etude.cli_reference import reference
from tests.machine import ROOT


def test_the_page_is_what_help_prints() -> None:
    """`python -m etude.cli_reference > docs/cli.md` has been run since the last change of a command."""
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == reference()


def test_the_page_names_every_exit_status() -> None:
    """Those of our own and Ctrl-C's."""
    page = reference()

    assert [status for status in {*EXIT_STATUS.values(), 0, 130} if f"\n    {status:<4} " not in page] == []
