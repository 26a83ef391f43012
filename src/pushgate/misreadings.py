"""What is wrong with something that a client has said, in words that do not repeat it."""

from __future__ import annotations

from pydantic import ValidationError

from .errors import BadRequest


def misread(what: str, exc: ValidationError) -> BadRequest:
    """Return the refusal that names the first thing wrong, and where it stands."""
    first = exc.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return BadRequest(f"{what} not understood: {place + ': ' if place else ''}{first['msg']}")
