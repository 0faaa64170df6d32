"""Before a service listens: the operator's token is put into the store, other machines are kept out without one, and
what an earlier version has left in clear is sealed."""

from __future__ import annotations

from search_spaces.log import bind
from search_spaces.problems import InvalidSpec
from store import Store
from store.kept_webhooks import seal_earlier
from store.tokens import is_guarded, set_admin_token

from .sealing import seal_of
from .settings import Settings, is_loopback

log = bind(__name__)


def prepare_tokens(store: Store, settings: Settings) -> None:
    """Make the admin token that the settings name; refuse an address that other machines reach without any.

    Raises:
        InvalidSpec: the token or its file is of no use, or the store has no token and the address is not loopback.
    """
    secret = _admin_token(settings)
    if secret is not None:
        set_admin_token(store, secret)
    elif not is_loopback(settings.host) and not is_guarded(store):
        words = (
            f"{settings.host} can be reached from other machines, and the store has no tokens: everybody there could"
            " read and delete studies. Make one first (`etude token create NAME --scope admin --on-store`, or set"
            " ETUDE_ADMIN_TOKEN), or use 127.0.0.1"
        )
        raise InvalidSpec(words, field="ETUDE_HOST")


def _admin_token(settings: Settings) -> str | None:
    if settings.admin_token is not None:
        return settings.admin_token.get_secret_value()
    if settings.admin_token_file is None:
        return None
    try:
        return settings.admin_token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        words = f"{settings.admin_token_file} cannot be read as one token"
        raise InvalidSpec(words, field="ETUDE_ADMIN_TOKEN_FILE") from error


def seal_webhooks(store: Store, settings: Settings) -> None:
    """Seal what an earlier version has kept of webhooks in clear.

    Raises:
        InvalidSpec: there is such a thing, and no key to seal it with.
    """
    sealed = seal_earlier(store, seal_of(settings))
    if sealed:
        log.warning("webhooks_sealed", count=sealed)  # copies of the store from before hold them still
