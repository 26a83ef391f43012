"""A configuration with a secret in every place where there can be one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bcrypt

from issuers import Issuer
from markers import Markers
from processes import free_port
from secured import pair

CARRIERS = ["header", "cookie", "query", "subprotocol", "message", "ticket"]
FAST = {"every": "50ms", "jitter": "0%", "linger": "1h"}
ENTRIES = ["signed", "published", "keys", "users", "portal", "lost"]


class Strongroom:
    """The folder of a gateway.yaml, and what clients need to know to be let in."""

    def __init__(self, folder: Path, backend: str, markers: Markers, signer: Issuer) -> None:
        self.folder = folder
        self.file = folder / "gateway.yaml"
        self.signer = signer
        self.port, self.admin_port = free_port(), free_port()
        self.key, self.password = markers("an api key"), markers("a user's password")
        self.poke, self.admin = markers("the poke secret"), markers("the admin token")
        self.secret = markers("the jwt secret")
        self.env = {"ADMIN_TOKEN": self.admin, "JWT_SECRET": self.secret, "UPSTREAM_PASSWORD": markers("a variable")}
        self._write_files(markers)
        self.config: dict[str, Any] = {
            "version": 1,
            "x-notes": {"password": markers("a note")},
            "server": self._server(),
            "defaults": {"poll": FAST, "guards": {"fail_if": "error"}},
            "upstreams": upstreams(backend, markers),
            "auth": self._auth(backend, markers),
            "routes": routes(markers),
            "proxy": {
                "/old": {"upstream": "passed", "auth": "none", "methods": ["GET", "POST"]},
                "/own": {"upstream": "passed", "auth": "keys", "credentials": "upstream"},
            },
        }
        self.save(self.config)

    def save(self, config: Mapping[str, Any]) -> None:
        self.file.write_text(json.dumps(config, indent=1))  # JSON is YAML

    def _write_files(self, markers: Markers) -> None:
        hashed = bcrypt.hashpw(self.password.encode(), bcrypt.gensalt(4)).decode()
        certificate, key = (blob.decode() for blob in pair())
        for name, text in {
            "htpasswd": f"ada:{markers.know('a hash of a password', hashed)}\n",
            "poke": f"{self.poke}\n",
            "bolt": f"{markers('a key from a file')}\n",
            "customer": markers("what a file brought to a harmless place"),
            "body": f"<pin>{markers('a body file')}</pin>",
            "tls.crt": certificate,
            "tls.key": markers.know_file("a private key", key),
        }.items():
            (self.folder / name).write_text(text)

    def _server(self) -> dict[str, Any]:
        return {
            "listen": f"127.0.0.1:{self.port}",
            "admin": {"listen": f"127.0.0.1:{self.admin_port}", "token": "${ADMIN_TOKEN}"},
            "tls": {"certificate": "tls.crt", "key": "tls.key"},
            "poke": {"secret": "${file:poke}"},
            "drain": {"window": "0s"},
        }

    def _auth(self, backend: str, markers: Markers) -> dict[str, Any]:
        keys = [{"name": "acme", "key": self.key}, {"name": "bolt", "key": "${file:bolt}"}]
        asked = f"key={markers('a key in a URL')}"
        return {
            "signed": {"kind": "jwt", "secret": "${JWT_SECRET}", "carriers": CARRIERS, "cookie_name": "token"},
            "published": {"kind": "jwt", "jwks_url": f"{backend}/jwks?{asked}"},
            "lost": {"kind": "jwt", "jwks_url": f"{backend}/lost?{asked}"},
            "keys": {
                "kind": "api_key",
                "keys": keys,
                "carriers": CARRIERS,
                "cookie_name": "key",
                "header_name": "X-Key",
            },
            "users": {"kind": "basic", "htpasswd": "htpasswd"},
            "portal": {
                "kind": "forward",
                "url": f"{backend}/whoami?{asked}",
                "claims": {"sub": "X-User"},
                "send": {"headers": ["X-Portal"], "cookies": ["SID"]},
                "carriers": ["header"],
                "cache": "1s",
            },
        }


def upstreams(backend: str, markers: Markers) -> dict[str, Any]:
    """Return one for each kind of credentials, and for other places where somebody may write some."""
    login = {"method": "POST", "path": "/log-in", "form": {"user": "ada", "word": markers("a login's password")}}
    credentials: dict[str, dict[str, Any]] = {
        "basic": {"kind": "basic", "username": "ada", "password": "${UPSTREAM_PASSWORD}"},
        "digest": {"kind": "digest", "username": "ada", "password": markers("a digest password")},
        "bearer": {"kind": "bearer", "token": markers("a bearer token")},
        "header": {"kind": "api_key", "header": "X-Plain", "value": markers("a key in a header")},
        "query": {"kind": "api_key", "query": "k", "value": markers("a key in a query")},
        "oauth2": {
            "kind": "oauth2",
            "token_url": f"{backend}/token?key={markers('a key of a token URL')}",
            "client_id": "gate",
            "client_secret": markers("a client secret"),
        },
        "login": {"kind": "login", "request": login, "expired": {"status": 403}},
        "session": {"kind": "session", "header": "X-Session-Id"},
    }
    url = {"url": f"{backend}/polled", "timeout": {"connect": "300ms", "total": "300ms"}}
    egress = backend.replace("://", f"://egress:{markers('a password of a proxy')}@")
    return {
        **{name: {**url, "credentials": one} for name, one in credentials.items()},
        "plain": {**url, "headers": {"X-Api-Key": markers("a header of an upstream")}},
        "egress": {**url, "url": "http://far.invalid/polled", "proxy": egress},
        "secure": {"url": "https://127.0.0.1:9", "tls": {"certificate": "tls.crt", "key": "tls.key"}},
        "passed": {"url": f"{backend}/passed", "credentials": {"kind": "bearer", "token": markers("a proxy's token")}},
    }


KINDS = ["basic", "digest", "bearer", "header", "query", "oauth2", "login", "session", "plain", "egress", "secure"]


def routes(markers: Markers) -> dict[str, Any]:
    """Return one for each upstream, for each place of a request, and for each thing that clients show."""
    headers, query = {"Authorization": f"Bearer {markers('a header of a request')}"}, {"api_key": markers("a query")}
    brought = "${file:customer}"
    asked = {
        "asked": {"headers": headers, "query": query, "form": {"password": markers("a form")}},
        "told": {"body": {"login": {"token": markers("a JSON body"), "list": [{"secret": markers("a deep body")}]}}},
        "texted": {"body": f"user=ada&password={markers('a text body')}"},
        "filed": {"body_file": "body"},
        "known": {"headers": {"X-Of": brought}, "query": {"of": brought, "by": f"a {brought}"}},
    }
    own = {"upstream": "plain", "auth": ENTRIES, "key": "id"}
    write = {
        "headers": {"X-Token": markers("a header of a write")},
        "form": {"pin_token": markers("a form of a write")},
    }
    return {
        **{f"/{kind}": {"upstream": kind, "auth": "none"} for kind in KINDS},
        **{
            f"/{name}": {"upstream": "plain", "auth": "none", "request": {"method": "POST", **request}}
            for name, request in asked.items()
        },
        "/mine": {
            **own,
            "share": "identity",
            "forward": {"headers": ["Authorization", "X-Key"], "cookies": ["SID"]},
            "write": {"POST": {"path": "/write", "wait": "100ms", **write}},
        },
        "/mail": {**own, "share": {"claims": ["email"]}, "request": {"query": {"email": "{claims.email}"}}},
        "/house": own,
    }
