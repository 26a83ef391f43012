"""``pushgate token``: what it makes is what a gateway believes, and what it says is what a gateway says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from typer.testing import CliRunner

from issuers import issuer
from pushgate.cli import app
from pushgate.config.auth import hash_of

SECRET = "a secret that is long enough for HS256"
RSA = issuer("RS256")

CONFIG: dict[str, Any] = {
    "version": 1,
    "upstreams": {"u": {"url": "https://u.example"}},
    "auth": {
        "staff": {"kind": "jwt", "secret": SECRET, "issuer": "https://id.example", "audience": ["bikes", "other"]},
        "issued": {"kind": "jwt", "public_key": RSA.pem, "algorithms": "PS256"},
        "partners": {"kind": "api_key", "header_name": "X-Key", "keys": [{"name": "acme", "key": "k-acme"}]},
        "sent": {"kind": "jwt", "secret": f"{SECRET} of theirs", "carriers": ["message"]},
    },
    "routes": {
        "/stations/{city}": {"upstream": "u", "key": "id", "auth": ["staff", "partners"], "allow": [
            {"claim": "cities", "contains": "{city}"}]},
        "/stations/{city}/{id}": {"from": "/stations/{city}", "item": "{id}", "allow": [
            {"claim": "role", "any": ["admin", "owner"]}]},
        "/me": {"upstream": "u", "auth": "staff", "share": "identity", "forward": {"headers": ["Authorization"]}},
        "/tenant": {"upstream": "u", "auth": "staff", "share": {"claims": ["tenant"]},
                    "request": {"query": {"t": "{claims.tenant}"}}},
        "/open": {"upstream": "u", "auth": "none"},
    },
}  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(CONFIG))
    return file


def run(file: Path, *arguments: str, text: str | None = None) -> Any:
    return CliRunner().invoke(app, ["token", "-c", str(file), *arguments], input=text)


def made(file: Path, *arguments: str) -> str:
    result = run(file, *arguments)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert len(result.stdout.splitlines()) == 1, "nothing but the token is printed"
    return result.stdout.strip()


def looked_at(file: Path, token: str) -> dict[str, Any]:
    result = run(file, "--verify", "-", "--output", "json", text=f"{token}\n")
    told = json.loads(result.stdout)
    assert result.exit_code == (0 if told["accepted"] else 1)
    return {entry["name"]: entry for entry in told["auth"]}


class TestMaking:
    def test_it_has_what_its_entry_wants(self, file: Path) -> None:
        token = made(file, "--auth", "staff", "--sub", "ada", "--claim", "cities=paris")
        told = jwt.decode(token, SECRET, algorithms=["HS256"], audience="bikes", issuer="https://id.example")
        assert (told["sub"], told["cities"], told["exp"] - told["iat"]) == ("ada", "paris", 3600)

    def test_claims_are_texts_lists_and_json(self, file: Path) -> None:
        options = [
            "--claim=c=a",
            "--claim=c=b",
            "--claim=n:=1",
            '--claim=o:={"x": null}',
            "--claim=e=a=b",
            "--claim=exp:=9",
        ]
        token = run(file, "--auth", "staff", *options).stdout.strip()
        told = jwt.decode(token, options={"verify_signature": False})
        assert (told["c"], told["n"], told["o"], told["e"], told["exp"]) == (["a", "b"], 1, {"x": None}, "a=b", 9)

    def test_it_need_not_end(self, file: Path) -> None:
        token = made(file, "--auth", "staff", "--expires", "off")
        assert "exp" not in jwt.decode(token, options={"verify_signature": False})

    def test_a_private_key_signs_for_a_public_one(self, file: Path, tmp_path: Path) -> None:
        """By an algorithm that the entry takes."""
        key = tmp_path / "key.pem"
        key.write_bytes(private_pem(RSA.key))
        token = made(file, "--auth", "issued", "--key", str(key), "--kid", "k1", "--sub", "ada")
        assert jwt.get_unverified_header(token) == {"alg": "PS256", "kid": "k1", "typ": "JWT"}
        assert looked_at(file, token)["issued"]["accepted"]

    def test_the_key_of_somebody_else_is_noticed(self, file: Path, tmp_path: Path) -> None:
        from issuers import rsa_key

        key = tmp_path / "key.pem"
        key.write_bytes(private_pem(rsa_key(number=7)))
        result = run(file, "--auth", "issued", "--key", str(key))
        assert "issued would refuse it" in result.stderr and "token_signature" in result.stderr

    def test_it_says_on_standard_error_what_is_in_it(self, file: Path) -> None:
        result = run(file, "--auth", "staff", "--sub", "ada", "--explain")
        assert json.loads(result.stderr)["sub"] == "ada" and result.stdout.count(".") == 2

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "say which: staff, issued, sent"),
            (["--auth", "staf"], "did you mean"),
            (["--auth", "partners"], "make one with --api-key"),
            (["--auth", "issued"], "name the private key"),
            (["--auth", "issued", "--key", "/nowhere.pem"], "No such file"),
            (["--auth", "staff", "--key", "x.pem"], "has a `secret`"),
            (["--auth", "staff", "--claim", "x"], "write it like"),
            (["--auth", "staff", "--claim", "x:=["], "no JSON"),
            (["--auth", "staff", "--claim", "iss:=3"], "must be a string"),
            (["--auth", "staff", "--expires", "1"], "no duration"),
            (["--auth", "staff", "--verify", "x"], "one thing at a time"),
        ],
    )
    def test_what_cannot_be_made_is_refused_with_the_remedy(self, file: Path, arguments: list[str], words: str) -> None:
        result = run(file, *arguments)
        assert result.exit_code == 2 and result.stdout == ""
        assert words in " ".join(result.stderr.split())
        assert SECRET not in result.stderr


class TestLooking:
    def test_every_entry_says_what_it_thinks(self, file: Path) -> None:
        found = looked_at(file, made(file, "--auth", "staff", "--sub", "ada"))
        assert {name: entry.get("code") for name, entry in found.items()} == {
            "staff": None,
            "issued": "token_algorithm",
            "partners": "credentials_unknown",
            "sent": "token_signature",
        }

    def test_it_says_which_routes_are_open(self, file: Path) -> None:
        """By the claims that a route needs, those of a view and of its parent together."""
        token = made(file, "--auth", "staff", "--sub", "ada", "--claim", "cities=paris", "--claim", "cities=rome")
        routes = {each["route"]: each for each in looked_at(file, token)["staff"]["routes"]}
        assert {name: each["open"] for name, each in routes.items()} == {
            "/stations/{city}": True,
            "/stations/{city}/{id}": False,
            "/me": True,
            "/tenant": False,
        }
        assert routes["/stations/{city}"]["condition"] == "{city} of cities: paris, rome"
        assert "'role'" in routes["/stations/{city}/{id}"]["condition"]
        assert routes["/tenant"]["condition"] == "the claim 'tenant' is needed here"

    def test_nobody_in_particular_has_nothing_of_its_own(self, file: Path) -> None:
        routes = {
            each["route"]: each["open"] for each in looked_at(file, made(file, "--auth", "staff"))["staff"]["routes"]
        }
        assert routes == {"/stations/{city}": False, "/stations/{city}/{id}": False, "/me": False, "/tenant": False}

    def test_a_key_is_looked_at_too(self, file: Path) -> None:
        found = looked_at(file, "k-acme")
        assert found["partners"]["subject"] == "acme" and not found["staff"]["accepted"]

    def test_a_token_is_shown_where_an_entry_looks_for_it(self, file: Path) -> None:
        assert looked_at(file, made(file, "--auth", "sent", "--sub", "ada"))["sent"]["accepted"]

    def test_what_nobody_takes_ends_with_1(self, file: Path) -> None:
        """As text, with the reason of each."""
        token = run(file, "--auth", "staff", "--claim", "exp:=1").stdout.strip()
        result = run(file, "--verify", token)
        assert result.exit_code == 1
        assert "staff: refused: the token has expired (credentials_expired)" in result.stdout

    def test_two_things_cannot_come_from_standard_input(self) -> None:
        assert CliRunner().invoke(app, ["token", "-c", "-", "--verify", "-"]).exit_code == 2


class TestKeys:
    def test_a_key_comes_with_the_line_for_the_configuration(self, file: Path) -> None:
        """Another each time; no configuration is read."""
        lines = CliRunner().invoke(app, ["token", "-c", "nowhere", "--api-key", "ac me"]).stdout.splitlines()
        assert lines[3] == f'- {{name: "ac me", hash: "{hash_of(lines[1])}"}}'
        assert len(lines[1]) > 40
        again = CliRunner().invoke(app, ["token", "--api-key", "x", "--output", "json"])
        told = json.loads(again.stdout)
        assert told["hash"] == hash_of(told["key"]) != hash_of(lines[1])


def private_pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    encoded: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return encoded
