"""What operators ask of the admin listener, as its switches see it."""

from __future__ import annotations

from dataclasses import dataclass, field

from multidict import CIMultiDict, MultiDict

CONSENTS = {"Host": "localhost", "Pushgate-Admin": "1"}


@dataclass(frozen=True)
class Order:
    """What is looked at of a request."""

    query: MultiDict[str]
    method: str = "POST"
    headers: CIMultiDict[str] = field(default_factory=lambda: CIMultiDict(CONSENTS))
    remote: str = "127.0.0.1"
