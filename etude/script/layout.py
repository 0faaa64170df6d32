"""The files of a trial's record, as both sides know them: written inside the script, read by Étude.

A process that imports torch writes three files named for it: `NAME.jsonl`, one event a line; from its first update on
`NAME.page`, numbers in a shared page of memory that outlive `kill -9` and are never torn, since each is one aligned
word; and `NAME.lr`, one row an update. Words and rows are in the machine's own byte order: one machine writes and
reads them.
"""

from __future__ import annotations

SCHEMA_VERSION = 1
TRIAL_VARIABLE = "ETUDE_TRIAL"
"""The environment variable that names the trial's JSON file."""

EVENTS, PAGE, ROWS = ".jsonl", ".page", ".lr"
WORD_BYTES = 8

# Words of the page: unsigned whole numbers, and float64 where it says so.
RANK, WORLD, BASE, UPDATES, OPTIMIZERS, LOST, BEYOND, CHANGED, BEGUN, LATEST = range(10)
"""BASE: updates of this rank by earlier processes. LOST: events and rows that could not be written. BEYOND: updates
after the last LR of the trial. CHANGED: updates during which the script replaced the imposed LR. BEGUN and LATEST:
seconds (float64) of the clock that all processes of a machine share, at the first and at the latest update."""
FIRST_OPTIMIZER, MOST_OPTIMIZERS = 64, 1024
"""One word an optimizer, in the order of their first updates: how often it has stepped."""
FIRST_GROUP = FIRST_OPTIMIZER + MOST_OPTIMIZERS
PAGE_WORDS = 8192
"""From FIRST_GROUP on one float64 a parameter group, in the order of its first update: its largest own LR so far."""
MOST_GROUPS = PAGE_WORDS - FIRST_GROUP

ROW_WORDS = 4
"""A row (float64): the LR that the script had set for the group of the optimizer that has the largest, the LR in force,
seconds since the process's first update, the slot of that group. The LR in force is the trial's, in units of the
largest group of all; where the script's own was in force, as it is or scaled, it is that group's. NaN stands for an LR
on a device that is not waited for."""
