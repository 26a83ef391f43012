"""How much the name of a member sounds like that of a key."""

from __future__ import annotations

import re

_ID = re.compile(r"(?i)^[@#]?(id|uuid|guid|_id|key|oid)$")
_LIKE_ID = re.compile(r"(?:[a-z0-9](?:Id|ID|Key|Code)|(?:^|[_\-. ])(?i:id|uuid|guid|key|code|no|nr|number))$")
_NAME = re.compile(r"(?i)^[@#]?(code|symbol|sku|slug|isin|ticker|iata|icao|name|.*[_\- ]?name|title|host|station)$")
_NO_NAME = re.compile(
    r"(?i)(?:time|date|stamp|updated|created|modified|_at|lat|lon|lng|itude|url|href|link|description|text|message|label)$"
)

A_KEY, LIKE_A_KEY, A_NAME, ANYTHING, NO_NAME = range(5)


def name_rank(name: str) -> int:
    """Return one of the ranks above; the lower, the more it sounds like a key."""
    if _ID.match(name):
        return A_KEY
    if _LIKE_ID.search(name):
        return LIKE_A_KEY
    if _NO_NAME.search(name):
        return NO_NAME
    return A_NAME if _NAME.match(name) else ANYTHING
