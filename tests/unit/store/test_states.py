"""The state machines and the page that draws them."""

from __future__ import annotations

import re
from pathlib import Path

from store.states import ENDED_TRIAL, LIVE_STUDY, OPTUNA_STATE, RUN_MOVES, STUDY_MOVES, TRIAL_MOVES

PAGE = Path(__file__).parents[3] / "docs" / "states.md"


def drawn(section: str) -> set[tuple[str, str]]:
    text = PAGE.read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    arrows = re.findall(r"^    (\S+) --> (\S+)$", text, re.MULTILINE)
    return {(source, target) for source, target in arrows if source != "[*]"}


def coded(moves: dict[str, frozenset[str]]) -> set[tuple[str, str]]:
    return {(source, target) for source, targets in moves.items() for target in targets}


def test_the_page_draws_what_the_code_does() -> None:
    """docs/states.md has every arrow of the three machines and no other."""
    assert drawn("Study") == coded(STUDY_MOVES)
    assert drawn("Trial") == coded(TRIAL_MOVES)
    assert drawn("Night") == coded(RUN_MOVES)


def test_live_and_ended_follow_from_the_machines() -> None:
    """A trial that has ended goes nowhere; a live study may be stopped."""
    assert {state for state, targets in TRIAL_MOVES.items() if not targets} == set(ENDED_TRIAL)
    assert {state for state, targets in STUDY_MOVES.items() if "stopped" in targets} == set(LIVE_STUDY)
    assert set(OPTUNA_STATE) == set(ENDED_TRIAL)
