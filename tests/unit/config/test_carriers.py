"""What `pushgate check` says of how credentials are carried: nobody is kept out, or put at risk, without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pushgate import config
from pushgate.config.auth import ForwardAuth, JwtAuth

CONFIGS = Path(__file__).parents[2] / "configs"
SECRET = "0123456789abcdef0123456789abcdef"


def staff(*carriers: str, **more: Any) -> dict[str, Any]:
    """An entry of auth: with these carriers, or the default ones."""
    named = {"cookie_name": "session"} if "cookie" in carriers else {}
    return {"kind": "jwt", "secret": SECRET, **({"carriers": [*carriers]} if carriers else {}), **named, **more}


def warned(auth: dict[str, Any], route: dict[str, Any] | None = None, **cors: Any) -> list[str]:
    content = {
        "version": 1,
        "server": {"cors": cors},
        "upstreams": {"u": {"url": "https://u.example"}},
        "auth": {"staff": auth},
        "routes": {"/prices": {"upstream": "u", "auth": "staff", **(route or {})}},
    }
    gateway = config.parse(yaml.safe_dump(content), file="gateway.yaml", environ={}, base=Path("/"))
    return [problem.message for problem in config.warnings(gateway)]


APP = ["https://app.example"]


@pytest.mark.parametrize(
    "auth",
    [
        staff(),
        staff(cookie_name="session"),
        staff("header", "cookie", "ticket"),
        staff("cookie", "message", "subprotocol"),
        {
            "kind": "forward",
            "url": "https://portal.example/whoami",
            "send": {"cookies": ["SID"]},
            "carriers": ["cookie"],
        },
        {"kind": "forward", "url": "http://127.0.0.1:9000/whoami"},
        {"kind": "jwt", "jwks_url": "https://id.example/jwks"},
    ],
)
def test_the_usual_ways_in_are_no_warning(auth: dict[str, Any]) -> None:
    assert warned(auth) == []
    assert warned(auth, origins=APP, credentials=True) == []


def test_all_good_carriers_together_are_no_warning() -> None:
    """One entry of several is enough, for each transport."""
    assert config.warnings(config.load(CONFIGS / "good" / "auth_carriers.yaml", environ={})) == []


@pytest.mark.parametrize("also", ["header", "message"])
def test_a_ticket_as_the_only_way_into_sse_is_told(also: str) -> None:
    """An EventSource has no header; after a restart the ticket has gone, and it never comes back from a 401."""
    auth = staff("header", "ticket") if also == "header" else staff("header", "message", "ticket")
    [message] = warned(auth)
    assert message.startswith("route /prices: transports: an EventSource gets in by ticket only, and gives up")
    assert "add `cookie` to the carriers of staff" in message
    assert warned(auth, {"transports": ["long_poll", "websocket"]}) == []


def test_the_only_way_into_the_sse_of_a_view_is_told_of_the_view() -> None:
    content = {
        "version": 1,
        "upstreams": {"u": {"url": "https://u.example"}},
        "auth": {"staff": staff("header", "ticket")},
        "routes": {
            "/prices": {"upstream": "u", "auth": "staff", "transports": "short_poll"},
            "/prices/latest": {"from": "/prices", "pointer": "/latest", "transports": "sse"},
        },
    }
    gateway = config.parse(yaml.safe_dump(content), file="gateway.yaml", environ={}, base=Path("/"))
    [warning] = config.warnings(gateway)
    assert warning.message.startswith("route /prices/latest: transports: an EventSource gets in by ticket only")


def test_credentials_in_urls_are_told() -> None:
    [message] = warned(staff("header", "query"))
    assert message.startswith("auth staff: carriers: `query` puts credentials into URLs")
    [message] = warned(staff("header", "query", "ticket"))
    assert "prefer `ticket`" in message


def test_a_cookie_without_a_name_is_told_if_somebody_has_asked_for_it() -> None:
    """The default is to look for one only if it has a name."""
    auth = {"kind": "jwt", "secret": SECRET, "carriers": ["header", "cookie"]}
    assert warned(auth) == [
        "auth staff: carriers: no cookie is looked at without its name; add `cookie_name`, or remove `cookie`"
    ]


def test_transports_in_which_nobody_can_say_who_it_is_are_told() -> None:
    [message] = warned(staff("subprotocol"))
    assert message.startswith(
        "route /prices: transports: staff looks for credentials on WebSockets only (`carriers`), "
        "not in short_poll, long_poll, sse;"
    )
    assert warned(staff("subprotocol"), {"transports": "websocket"}) == []


def test_other_services_without_tls_are_told() -> None:
    [message] = warned({"kind": "forward", "url": "http://portal.example/whoami"})
    assert message == ("auth staff: url: clients' credentials travel to it without TLS, readable on the way; use https")
    [message] = warned({"kind": "jwt", "jwks_url": "http://id.example/jwks"})
    assert message.startswith("auth staff: jwks_url: keys come without TLS")


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        (staff("header", "cookie", "ticket"), "cannot keep the cookie with which an EventSource comes back"),
        (staff("cookie"), "pages there cannot send the cookie of staff; list them with `credentials: true`"),
        (staff("header", header_name="X-Key"), "pages there may send Authorization, and not X-Key"),
    ],
)
def test_what_pages_of_other_origins_cannot_do_is_told(auth: dict[str, Any], words: str) -> None:
    assert warned(auth) == [], "there are none"
    [message] = warned(auth, origins=APP)
    assert message.startswith("server: cors.origins: ") and words in message


def test_origins_that_can_be_tampered_with_are_told_if_they_act_for_their_visitors() -> None:
    """`http://localhost` is the machine of who develops the page."""
    origins = ["http://localhost:5173", "http://app.example", "https://app.example"]
    assert warned(staff(), origins=origins) == []
    [message] = warned(staff(), origins=origins, credentials=True)
    assert message.startswith("server: cors.origins[1]: http://app.example is no https: anybody on the way")


def test_credentials_of_no_other_origin_are_told() -> None:
    assert warned(staff(), credentials=True) == ["server: cors.credentials: has no effect without `origins`; add one"]


def test_the_ways_in() -> None:
    """A carrier counts if something can be found there; what `send` lists is shown whatever the carriers."""
    assert JwtAuth.model_validate(staff()).ways == {"header"}
    assert JwtAuth.model_validate(staff(cookie_name="s")).ways == {"header", "cookie"}
    portal = {"kind": "forward", "url": "https://portal.example"}
    assert ForwardAuth.model_validate(portal).ways == {"header"}
    assert ForwardAuth.model_validate({**portal, "send": {"cookies": ["SID"]}}).ways == {"cookie"}
    assert ForwardAuth.model_validate({**portal, "carriers": ["query"]}).ways == {"header", "query"}
