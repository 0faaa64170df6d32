"""What optuna-dashboard shows of a study beside its trials: a note and a figure, in the study's system attributes.

They are laid out as optuna_dashboard's `save_note` and `save_plotly_graph_object` do it, which a test compares. These
two would import scikit-learn, for seconds, and write a transaction for every 2 kB; here it is one for all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from . import optuna_bridge
from .engine import Store

PART_CHARACTERS = 2045
NOTE, NOTE_VERSION = "dashboard:note_str:", "dashboard:note_ver"
FIGURE = "dashboard:plot_data:etude-learning-rates:"
OWN_NOTE = "etude:note"
"""The digest of the note that we wrote last: another one is a person's, and stays."""


def save_dashboard(store: Store, name: str, *, note: str, figure: str | None) -> bool:
    """Write the note (Markdown) and the figure (Plotly's JSON) of a study; tell whether anything changed.

    A note that a person has written in the dashboard is left as it is. Without a figure the one that is there stays.
    """
    with store.begin() as connection:
        # By name: SQLite gives the id of a study that stock Optuna has deleted to the next one.
        optuna_id = optuna_bridge.study_id(connection, name, held=True)
        if optuna_id is None:
            return False
        present = optuna_bridge.system_attributes(connection, optuna_id)
        wanted = ({} if figure is None else _parts(FIGURE, figure)) | _noted(present, note)
        changed = {key: value for key, value in wanted.items() if present.get(key) != value}
        gone = list(_outlived(present, wanted))
        optuna_bridge.set_system_attributes(connection, optuna_id, changed, gone)
    return bool(changed or gone)


def _parts(prefix: str, text: str) -> dict[str, str]:
    starts = range(0, len(text), PART_CHARACTERS)
    return {f"{prefix}{place}": text[start : start + PART_CHARACTERS] for place, start in enumerate(starts)}


def _noted(present: Mapping[str, Any], note: str) -> dict[str, Any]:
    """Return the attributes of a new note; none where it is there already, or where somebody else has written one."""
    there = _text(present, NOTE)
    if there and (there == note or _digest(there) != present.get(OWN_NOTE)):
        return {}
    version = int(present.get(NOTE_VERSION, 0)) + 1
    return {NOTE_VERSION: version, OWN_NOTE: _digest(note), **_parts(NOTE, note)}


def _text(present: Mapping[str, Any], prefix: str) -> str:
    keys = [key for key in present if key.startswith(prefix)]
    return "".join(present[key] for key in sorted(keys, key=lambda key: int(key.removeprefix(prefix))))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _outlived(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """Yield the last parts of a longer text that a shorter one has replaced."""
    for prefix in (NOTE, FIGURE):
        if any(key.startswith(prefix) for key in wanted):
            yield from (key for key in present if key.startswith(prefix) and key not in wanted)
