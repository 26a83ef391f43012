"""What a WebSocket client may say: JSON objects with an ``op``, checked before anybody looks at them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ...misreadings import misread


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    ref: Any = None  # whatever the client likes to call this message; comes back with the answer


class Subscribe(_Message):
    op: Literal["subscribe"]
    topic: str
    cursor: str | None = None
    emit: str | None = None


class Unsubscribe(_Message):
    op: Literal["unsubscribe"]
    topic: str


class Auth(_Message):
    op: Literal["auth"]
    token: str


class Send(_Message):
    op: Literal["send"]
    topic: str
    data: Any = None


class Ping(_Message):
    op: Literal["ping"]


Message: TypeAlias = Subscribe | Unsubscribe | Auth | Send | Ping

_adapter: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="op")])


def read_message(text: bytes) -> Message:
    """Return the message; raises BadRequest that names the first thing wrong with it."""
    try:
        return _adapter.validate_json(text)
    except ValidationError as exc:
        raise misread("message", exc) from None
