"""Secrets are used, and shown nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pushgate import config
from pushgate.config.auth import ApiKeyAuth
from pushgate.config.credentials import BasicCredentials
from pushgate.config.gateway import Gateway
from pushgate.errors import ConfigError
from pushgate.routes import Route
from pushgate.values import Caller
from pushgate.writes import Sent

SECRETS = {
    "HEADER": "hdr-hunter2",
    "COOKIE": "cok-hunter2",
    "QUERY": "qry-hunter2",
    "PASSWORD": "pwd-hunter2",
    "PROXY": "prx-hunter2",
    "FORM": "frm-hunter2",
    "POKE": "pok-hunter2-hunter2",
    "ADMIN": "adm-hunter2-hunter2",
    "REDIS": "red-hunter2",
    "JWT": "jwt-hunter2-and-as-long-as-a-secret-must-be",
    "KEY": "key-hunter2",
}

USED = """
version: 1
upstreams:
  bikes: {url: "https://bikes.example", headers: {Authorization: "Bearer ${HEADER}", Cookie: "${COOKIE}"}}
routes:
  /a: {upstream: bikes, request: {query: {api_key: "${QUERY}", q: open}, headers: {X-Auth-Token: "${KEY}"}}}
"""

# Everything that holds a secret; a later release implements most of it.
EVERYWHERE = (
    USED
    + """
  /b:
    upstream: bikes
    request: {method: POST, form: {password: "${FORM}"}}
    auth: [staff]
    key: {wrong: [1]}
server: {poke: {secret: "${POKE}"}, admin: {token: "${ADMIN}"}, heartbeat: "${HEADER}"}
store: {kind: redis, url: "redis://:${REDIS}@redis:6379", on_loss: "${REDIS}"}
auth:
  staff: {kind: jwt, secret: "${JWT}"}
  partners: {kind: api_key, keys: [{name: acme, key: "${KEY}", claims: 1}]}
proxy: {/: {upstream: "${PASSWORD}"}}
"""
)


def parse(text: str) -> config.Gateway:
    return config.parse(text, file="gateway.yaml", environ=SECRETS, base=Path("/"))


def assert_no_secret_in(text: str) -> None:
    assert [name for name, value in SECRETS.items() if value in text] == []


def test_secrets_reach_the_wire() -> None:
    gateway = parse(USED)
    assert f"{gateway.upstreams['bikes'].headers['Authorization']}" == "Bearer hdr-hunter2"
    assert gateway.routes["/a"].request.query == {"api_key": "qry-hunter2", "q": "open"}


def test_what_is_in_force_is_shown_without_secrets() -> None:
    """What is not secret stays readable, and the output can be checked like any other file."""
    gateway = parse(USED)
    for shown in (config.to_yaml(gateway), json.dumps(config.effective(gateway)), repr(gateway), str(gateway)):
        assert_no_secret_in(shown)
    effective = config.effective(gateway)
    assert effective["upstreams"]["bikes"]["headers"] == {"Authorization": "••••", "Cookie": "••••"}
    assert effective["routes"]["/a"]["request"]["query"] == {"api_key": "••••", "q": "open"}
    assert_no_secret_in(repr(gateway.origin.tree))
    assert_no_secret_in("\n".join(map(str, config.warnings(gateway))))
    parse(config.to_yaml(gateway))


def test_no_message_repeats_a_secret() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(EVERYWHERE)
    assert_no_secret_in(str(caught.value))
    assert "server: heartbeat: `${HEADER}` is no duration" in str(caught.value)


def test_sections_of_later_releases_hide_their_secrets_too() -> None:
    """Validated on their own, since the loader refuses them still."""
    gateway = Gateway.model_validate(
        {
            "version": 1,
            "server": {"poke": {"secret": SECRETS["POKE"]}, "admin": {"token": SECRETS["ADMIN"]}},
            "store": {"kind": "redis", "url": f"redis://:{SECRETS['REDIS']}@redis:6379/0"},
            "upstreams": {
                "bikes": {
                    "url": "https://bikes.example",
                    "proxy": f"http://me:{SECRETS['PROXY']}@egress:3128",
                    "credentials": {"kind": "basic", "username": "u", "password": SECRETS["PASSWORD"]},
                }
            },
            "auth": {
                "staff": {"kind": "jwt", "secret": SECRETS["JWT"]},
                "partners": {"kind": "api_key", "keys": [{"name": "acme", "key": SECRETS["KEY"]}]},
            },
            "routes": {
                "/b": {
                    "upstream": "bikes",
                    "request": {"method": "POST", "body": {"login": [{"password": SECRETS["FORM"], "user": "u"}]}},
                }
            },
        }
    )
    for shown in (repr(gateway), config.to_yaml(gateway), json.dumps(config.effective(gateway))):
        assert_no_secret_in(shown)
    credentials = gateway.upstreams["bikes"].credentials
    assert isinstance(credentials, BasicCredentials)
    assert credentials.password.get_secret_value() == SECRETS["PASSWORD"]
    assert config.effective(gateway)["store"]["url"] == "redis://••••@redis:6379/0"


def test_the_schema_knows_no_values() -> None:
    assert_no_secret_in(json.dumps(config.json_schema()))


SENT = """
version: 1
upstreams:
  forum:
    url: https://forum.example
    credentials: {kind: login, request: {method: POST, path: /in, form: {u: gw, p: "${FORM}"}}, expired: {status: 401}}
  shop:
    url: https://shop.example
    headers: {X-Auth: "${HEADER}"}
    credentials: {kind: login, request: {method: POST, path: /in, body: {p: ["${KEY}"]}}, expired: {status: 401}}
routes:
  /xml: {upstream: forum, request: {method: POST, body: "<a><w:Password Type='t'>${PASSWORD}</w:Password></a>"}}
  /json: {upstream: forum, request: {method: POST, body: '{"session_key": "${PASSWORD}"}'}}
  /text: {upstream: forum, request: {method: POST, body: "user=gw&pwd=${PASSWORD}"}}
  /graphql: {upstream: forum, request: {method: POST, body: "{ keys tokens { id } }"}}
"""


def test_what_a_login_sends_is_secret_whatever_it_is_called() -> None:
    """So is a text in which something that is called like a credential has a value; any other text can be read."""
    gateway = parse(SENT)
    for shown in (config.to_yaml(gateway), repr(gateway)):
        assert_no_secret_in(shown)
    routes = config.effective(gateway)["routes"]
    assert {path: route["request"]["body"] for path, route in routes.items()} == {
        "/xml": "••••",
        "/json": "••••",
        "/text": "••••",
        "/graphql": "{ keys tokens { id } }",
    }


def test_what_a_file_brought_is_shown_under_no_name(tmp_path: Path) -> None:
    """However harmless, and whatever it is a part of; in values and in keys, in lists and alone."""
    for name in ("key", "id"):
        (tmp_path / name).write_text(f"{name}-hunter2\n")
    (tmp_path / "seven").write_text("7")
    gateway = config.parse(
        """
version: 1
upstreams:
  u: {url: "https://u.example/${file:key}/api", headers: {X-Of: "${file:key}", User-Agent: "us ${file:id} (${USER})"}}
auth:
  partners: {kind: api_key, keys: [{name: acme, key: a-key-of-acme-1, claims: {of: ["${file:id}", x]}}]}
defaults: {description: "${file:key}", auth: partners, select: "rows[?id == '${file:id}']", ignore: "/${file:key}/at"}
routes:
  /a/{c}: {upstream: u, params: {c: ["${file:id}", b]}, request: {query: {customer: "${file:id}", "${file:id}": "x"}}}
  /b: {upstream: u, request: {method: POST, body: {of: ["${file:id}"]}}, poll: {every: "${file:seven}000ms"}}
  /c: {upstream: u, request: {method: POST, body: "<of>${file:id}</of>"}, guards: {confirmations: "${file:seven}"}}
""",
        file="gateway.yaml",
        environ={"USER": "me"},
        base=tmp_path,
    )
    for shown in (config.to_yaml(gateway), json.dumps(config.effective(gateway)), repr(gateway.tree)):
        assert "hunter2" not in shown
    shown = config.effective(gateway)
    assert shown["upstreams"]["u"]["url"] == "https://u.example/••••/api"
    assert shown["upstreams"]["u"]["headers"] == {"X-Of": "••••", "User-Agent": "us •••• (me)"}
    assert shown["auth"]["partners"]["keys"][0]["claims"] == {"of": ["••••", "x"]}
    a, b, c = (shown["routes"][path] for path in ("/a/{c}", "/b", "/c"))
    assert (a["description"], a["select"], a["ignore"]) == ("••••", "rows[?id == '••••']", ["/••••/at"])
    assert (a["params"], a["request"]["query"]) == ({"c": ["••••", "b"]}, {"customer": "••••", "••••": "x"})
    assert (b["request"]["body"], b["poll"]["every"]) == ({"of": ["••••"]}, "••••")
    assert (c["request"]["body"], c["guards"]["confirmations"]) == ("••••", "••••")
    assert {*config.brought(gateway)} == {"key-hunter2", "id-hunter2", "7"}


def test_what_a_file_brought_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("id-hunter2")
    gateway = config.parse(
        """
version: 1
upstreams: {u: {url: "https://u.example"}}
auth: {partners: {kind: api_key, keys: [{name: acme, key: a-key-of-acme-1, claims: {of: ["${file:id}"]}}]}}
routes:
  /a:
    upstream: u
    auth: partners
    request: {method: POST, body: {of: "${file:id}"}}
    write: {PUT: {body: {of: "${file:id}", is: "{data.x}"}}}
""",
        file="gateway.yaml",
        environ={},
        base=tmp_path,
    )
    auth = gateway.auth["partners"]
    assert isinstance(auth, ApiKeyAuth)
    assert auth.keys[0].claims == {"of": ("id-hunter2",)}
    made = Route("/a", gateway.routes["/a"], gateway.upstreams)
    name = made.topic({}, {}, Caller())
    assert made.request(name).body == b'{"of":"id-hunter2"}'
    assert (
        made.order("PUT", name, Caller(), Sent(b'{"x":1}', "application/json")).request.body
        == b'{"of":"id-hunter2","is":"1"}'
    )
