"""What the worker says of the models with weights: one document in Redis, kept for a minute.

The web process reads it; it may not look at the files itself, nor import what could.
"""

from __future__ import annotations

import json
from typing import Any, cast

import redis

KEY = "mk:models.4"  # the number changes with the fields, so that no older document is read
TTL_S = 75

ShelfDocument = dict[str, Any]


def write_shelf(client: redis.Redis, document: ShelfDocument) -> None:
    """Say what is here; raises RedisError.

    Parameters
    ----------
    document : dict
        ``models`` (a row each, see ``model_rows``), ``reason_unavailable`` (why no model can make
        shapes; None when one can), ``parts_unavailable`` (the same for each kind of model that
        works on parts), ``texture_unavailable`` (the same for textures), ``speech`` (see
        ``backend.engines.speech_row``) and ``looked_at`` (RFC 3339, UTC).
    """
    client.set(KEY, json.dumps(document), ex=TTL_S)


def read_shelf(client: redis.Redis) -> ShelfDocument | None:
    """Return what the worker said within the last minute; None when nobody did."""
    try:
        text = cast("str | None", client.get(KEY))
    except redis.RedisError:
        return None
    return json.loads(text) if text else None
