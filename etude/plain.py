"""What is sent to a service, as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def plain(value: Any) -> Any:
    """Return a model as the JSON that the surface agrees on, and another value as it is."""
    # Through JSON text: only there NaN and infinities become strings.
    if isinstance(value, BaseModel):
        return json.loads(value.model_dump_json())
    return dict(value) if isinstance(value, Mapping) else value


def plain_fields(spec: BaseModel | Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Lay fields over a spec.

    >>> plain_fields({"name": "a", "cron": "@daily"}, {"cron": "@hourly"})
    {'name': 'a', 'cron': '@hourly'}
    """
    return {**plain(spec), **{key: plain(value) for key, value in fields.items()}}
