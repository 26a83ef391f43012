"""``pushgate ticket``: trade credentials for a ticket that may stand in a URL."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlencode, urlsplit

import typer

from ..healthcheck import asked_at
from .arguments import Ca, Headers, Output, Token, header_fields, trusting, url_of
from .completion import complete_topics
from .configuration import ConfigFile, require_config
from .paint import legible
from .progress import Progress

if TYPE_CHECKING:
    import ssl

    from ..config import Gateway

TIMEOUT = 30.0

_WHERE = "Which gateway"

Topics = Annotated[list[str], typer.Argument(help="What it is for: /orders", autocompletion=complete_topics)]
Emit = Annotated[
    Literal["patch", "merge", "items", "snapshot"] | None, typer.Option("--emit", help="Only for this mode.")
]
AsUrl = Annotated[bool, typer.Option("--url", help="Print the URL to open with it.")]
Base = Annotated[
    str | None,
    typer.Option(
        "--gateway",
        metavar="URL",
        help="Its public listener, with its prefix if that is not /-/; by default what the configuration says.",
        rich_help_panel=_WHERE,
    ),
]


def ticket(
    topics: Topics,
    file: ConfigFile = "gateway.yaml",
    headers: Headers = None,
    token: Token = None,
    emit: Emit = None,
    as_url: AsUrl = False,
    output: Output = "text",
    gateway: Base = None,
    ca: Ca = None,
) -> None:
    """
    Get a ticket with real credentials, as a page would.

    It is good once, for half a minute, for these topics: an EventSource, which can send no header, opens its URL with
    it. The entry of `auth:` needs the carrier `ticket`.

        pushgate ticket /orders --token "$(pushgate token --sub ada)"
        curl -N -H 'Accept: text/event-stream' \\
            "$(pushgate ticket /orders -H 'X-Api-Key: k' --url)"

        # two topics on one connection, at a gateway elsewhere
        pushgate ticket /orders /quotes/ACME --url --gateway https://live.example
    """
    root, own = _places(file, gateway)
    fields, trust = header_fields(headers or [], token=token), trusting(ca)
    body = json.dumps({"topics": topics, **({} if emit is None else {"emit": emit})})
    with Progress(is_for_programs=output == "json").during("waiting for the gateway"):
        status, text = _post(f"{own}tickets", fields, body, trust)
    told = _read(text)
    if status != 200 or "ticket" not in told:
        code = " ".join(part for part in (str(status), told.get("code", "")) if part)
        words = told.get("detail") or told.get("title") or "what answers there is no gateway"
        print(legible(f"pushgate: {words} ({code})"), file=sys.stderr)
        raise typer.Exit(1)
    url = _url(root, own, topics, [("emit", emit), ("ticket", told["ticket"])])
    if output == "json":
        print(json.dumps({**told, "url": url}, ensure_ascii=False, indent=2))
    else:
        print(url if as_url else told["ticket"])


def _places(file: str, gateway: str | None) -> tuple[str, str]:
    """Return where topics begin, and where pushgate's own endpoints are, with a slash at the end."""
    if gateway is None:
        return _configured(require_config(file))
    parts = url_of(gateway, example="https://live.example")
    if parts.path.rstrip("/") and gateway.endswith("/"):
        return gateway.rstrip("/").rpartition("/")[0], gateway
    return gateway.rstrip("/"), f"{gateway.rstrip('/')}/-/"


def _configured(config: Gateway) -> tuple[str, str]:
    server = config.server
    host = asked_at(server.listen.host)
    scheme = "http" if server.tls is None else "https"
    root = f"{scheme}://{f'[{host}]' if ':' in host else host}:{server.listen.port}{server.base_path}"
    return root, f"{root}{server.prefix}"


def _post(url: str, fields: Sequence[tuple[str, str]], body: str, trust: ssl.SSLContext) -> tuple[int, str]:
    """Return the status and the body of the answer; says why and exits with 1 if there is none."""
    import http.client

    from multidict import CIMultiDict

    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    try:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=trust)
        sent = CIMultiDict(fields)
        sent["Content-Type"] = "application/json"
        connection.request("POST", parts.path, body, sent)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f"pushgate: no gateway answers on {parts.netloc}: {error or type(error).__name__}", file=sys.stderr)
        raise typer.Exit(1) from None


def _read(text: str) -> dict[str, str]:
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _url(root: str, own: str, topics: list[str], wishes: list[tuple[str, str | None]]) -> str:
    """Return what to open: a topic's own URL, or that of a connection for several."""
    from ..tools.following import Follower
    from ..tools.following.address import Address

    named = urlencode([("topic", topic) for topic in topics])
    address = Address.read(f"{own}events?{named}" if len(topics) > 1 else f"{root}{topics[0]}")
    return address.wanting(wishes).url("sse", Follower())
