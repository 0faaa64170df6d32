"""The token that a client shows: given by hand, from the environment, or from a file that nobody else can read."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from .settings import WrongSetting
from .shared import shared_directory

MOST_BYTES = 10_000


def find_token(given: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the token to use: `given`, else ETUDE_TOKEN, else what the token's file holds; None where there is none.

    The file is the one that ETUDE_TOKEN_FILE names, which then has to exist, else the one in the directory that
    ETUDE_SHARED names, else `etude/token` in XDG_CONFIG_HOME (by default `~/.config`), if it is there.

    Raises:
        WrongSetting: the file cannot be read, others than its owner can read it, or it holds no token.
    """
    if given or environ.get("ETUDE_TOKEN"):
        return given or environ["ETUDE_TOKEN"]
    named = environ.get("ETUDE_TOKEN_FILE")
    shared = shared_directory(environ)
    usual = _usual_file(environ) if shared is None else shared.admin_token
    file = Path(named) if named else usual
    if file is None or (not named and not file.exists()):
        return None
    return read_token(file)


def read_token(file: Path) -> str:
    """Return the token that `file` holds, without the line's end.

    Raises:
        WrongSetting: it cannot be read, others than its owner can read it, or it holds no token.
    """
    try:
        with file.open("rb") as opened:
            # Of what was opened, not of the name: between two looks the name may come to mean another file.
            mode = os.fstat(opened.fileno()).st_mode
            text = opened.read(MOST_BYTES)
    except OSError as error:
        raise WrongSetting(f"the token's file {file} cannot be read: {error.strerror}") from error
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise WrongSetting(
            f"the token's file {file} has mode {stat.S_IMODE(mode):04o}, so others may read it: chmod 600 {file}"
        )
    return _token_in(text, file)


def _token_in(text: bytes, file: Path) -> str:
    words = text.decode("ascii", errors="replace").split()
    if len(words) != 1 or not words[0].isascii():
        raise WrongSetting(f"the token's file {file} has to hold one token and nothing else")
    return words[0]


def _usual_file(environ: Mapping[str, str]) -> Path | None:
    place = environ.get("XDG_CONFIG_HOME")
    if place:
        return Path(place) / "etude" / "token"
    try:
        return Path.home() / ".config" / "etude" / "token"
    except RuntimeError:  # nobody's home is known: a container without a passwd entry
        return None
