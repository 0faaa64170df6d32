"""Print docs/reference.md."""

from __future__ import annotations

import sys

from . import reference

sys.stdout.write(reference())
