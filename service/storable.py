"""Text that no database takes, refused at the door with the field that holds it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fastapi import Request

from search_spaces.model import field_path
from search_spaces.problems import InvalidSpec

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""NUL, which PostgreSQL's text cannot hold, and halves of surrogate pairs, which UTF-8 cannot."""
ESCAPES = (b"\\", b"\x00")
"""Without one of these bytes a JSON body holds neither: both are written as escapes, or in UTF-16."""

Place = tuple[Any, ...]


async def refuse_unstorable(request: Request) -> None:
    """Refuse a request whose path, query or JSON body holds such text.

    Raises:
        InvalidSpec: `field` names where it stands.
    """
    given = [*request.path_params.items(), *request.query_params.multi_items()]
    places = [(name,) for name, value in given if UNSTORABLE.search(str(value))]
    body = await request.body()
    if may_be_unstorable(body):
        places.extend(_places(await _parsed(request)))
    if places:
        detail = "text may hold neither the character NUL nor half of a surrogate pair"
        raise InvalidSpec(detail, field=UNSTORABLE.sub("?", field_path(places[0])))


def may_be_unstorable(body: bytes) -> bool:
    """Tell whether a JSON body has to be parsed to know."""
    return any(byte in body for byte in ESCAPES)


async def _parsed(request: Request) -> Any:
    try:
        return await request.json()
    except (ValueError, RecursionError):  # no JSON: the framework says so where the route wants some
        return None


def _places(body: Any) -> Iterator[Place]:
    """Yield where unstorable text stands in parsed JSON, keys included; not recursive, whatever the depth."""
    waiting: list[tuple[Place, Any]] = [((), body)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, str):
            if UNSTORABLE.search(value):
                yield place
        elif isinstance(value, dict):
            yield from ((*place, key) for key in value if UNSTORABLE.search(key))
            waiting.extend(((*place, key), item) for key, item in value.items())
        elif isinstance(value, list):
            waiting.extend(((*place, index), item) for index, item in enumerate(value))
