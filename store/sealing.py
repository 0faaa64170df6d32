"""Sealing: what has to be said again later, such as a webhook's secret, lies in the store as only a key can read it.

A hash will not do, since a message is signed with the secret itself. The key is not in the store: who reads the tables
or a copy of them reads nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from search_spaces.problems import InvalidSpec

LEAST_LETTERS = 32
"""Of a key: random ones, `openssl rand -base64 32`."""
Keys = Callable[[bool], Sequence[str]]
"""Reads the keys, the newest first; with true it may make one where there is none."""


class NotOpened(Exception):
    """What was sealed cannot be read: the key that it was sealed with is not among those at hand."""


class Seal:
    """Closes texts and opens them again (Fernet: AES-128 in CBC mode with HMAC-SHA256).

    The newest key closes and each of them opens, so a key can be replaced. They are read at every use.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def close(self, text: str) -> str:
        """Return what the store may hold in place of `text`; another text at every time.

        Raises:
            InvalidSpec: there is no key, or one that is no secret.
        """
        return _fernet(self._keys(True)).encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """Return what was closed.

        Raises:
            NotOpened: no key that is at hand closed it.
        """
        try:
            return _fernet(self._keys(False)).decrypt(sealed).decode()
        except InvalidSpec as problem:
            raise NotOpened(str(problem)) from problem
        except InvalidToken as error:
            raise NotOpened((NotOpened.__doc__ or "").strip()) from error


def _fernet(keys: Sequence[str]) -> MultiFernet:
    if not keys or any(len(key) < LEAST_LETTERS for key in keys):
        raise InvalidSpec(f"a key has at least {LEAST_LETTERS} letters, one key a line", field="ETUDE_WEBHOOK_KEY")
    return MultiFernet([Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys])
