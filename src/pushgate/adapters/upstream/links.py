"""The Link header field (RFC 8288): where the next page is."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LINK = re.compile(r"<([^>]*)>((?:\"(?:[^\"\\]|\\.)*+\"|[^\",<])*+)")
_PARAMETER = re.compile(r";\s*([^\s=;,\"]++)\s*(?:=\s*(?:\"((?:[^\"\\]|\\.)*+)\"|([^\s;,\"]*)))?")
_ESCAPED = re.compile(r"\\(.)")


def next_link(fields: Iterable[str]) -> str | None:
    """
    Return the target of the first link with the relation ``next``, as it was written; None if there is none.

    A link that is about something else than the answer (``anchor``) does not count.
    """
    for field in fields:
        for target, text in _LINK.findall(field):
            parameters = _parameters(text)
            relations = parameters.get("rel", "").lower().split()
            if "next" in relations and "anchor" not in parameters:
                return str(target).strip()
    return None


def _parameters(text: str) -> dict[str, str]:
    """Return a link's parameters; of one that is given twice the first counts (section 3.3)."""
    found: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(text):
        found.setdefault(name.lower(), _ESCAPED.sub(r"\1", quoted) or plain)
    return found
