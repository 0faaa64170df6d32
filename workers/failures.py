"""What went wrong in a trial, as the text that its row keeps."""

from __future__ import annotations

import traceback

import torch

from .training import Diverged, HorizonMismatch

ERROR_CHARACTERS = 4000
"""Of a traceback, the end: that is where the reason stands."""
DIVERGED = "diverged"
OUT_OF_MEMORY = "out_of_memory"
CPU_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory")
"""What torch's allocator on the CPU says, in a plain RuntimeError."""


def reason_of(error: Exception) -> str:
    """Return a reason in one word where there is one, else the end of the traceback."""
    if isinstance(error, Diverged):
        return DIVERGED
    if isinstance(error, HorizonMismatch):
        return str(error)
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    return _storable("".join(traceback.format_exception(error))[-ERROR_CHARACTERS:])


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether memory ran out, on whichever device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in CPU_OUT_OF_MEMORY)


def _storable(written: str) -> str:
    """Write as escapes what no database column takes: NUL, and halves of surrogate pairs."""
    return written.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")
