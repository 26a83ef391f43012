"""``pushgate token``: make tokens and keys for trying out who may listen, and see what becomes of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .arguments import Output, seconds_of
from .completion import complete_auth
from .configuration import ConfigFile, require_config
from .paint import Paint, legible
from .progress import Progress

if TYPE_CHECKING:
    from ..config import Gateway
    from ..config.auth import JwtAuth
    from .judging import Opening, Verdict

_MINT = "Make a token"
_KEYS = "Make an API key"
_VERIFY = "Look at a token"

AuthOption = Annotated[
    str | None,
    typer.Option(
        "--auth",
        metavar="NAME",
        help="For this entry of `auth:`; by default the only one of the kind jwt.",
        autocompletion=complete_auth,
        rich_help_panel=_MINT,
    ),
]
Subject = Annotated[str | None, typer.Option("--sub", metavar="SUBJECT", help="Who it is.", rich_help_panel=_MINT)]
ClaimOption = Annotated[
    list[str] | None,
    typer.Option(
        "--claim",
        metavar="NAME=TEXT",
        help="A claim, or NAME:=JSON; repeatable, with one name it makes a list.",
        rich_help_panel=_MINT,
    ),
]
Expires = Annotated[
    str, typer.Option("--expires", metavar="DURATION", help="How long it is good, or off.", rich_help_panel=_MINT)
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key", metavar="FILE", help="The private key (PEM), if the entry has a public one.", rich_help_panel=_MINT
    ),
]
Kid = Annotated[
    str | None, typer.Option("--kid", metavar="NAME", help="What the issuer calls its key.", rich_help_panel=_MINT)
]
Explain = Annotated[
    bool, typer.Option("--explain", help="Print what is in it, to standard error.", rich_help_panel=_MINT)
]
VerifyOption = Annotated[
    str | None,
    typer.Option(
        "--verify",
        metavar="TOKEN",
        help="Say who takes it, and what it opens; - reads standard input.",
        rich_help_panel=_VERIFY,
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key", metavar="CLIENT", help="A random key for this client, and its hash.", rich_help_panel=_KEYS
    ),
]


def token(
    file: ConfigFile = "gateway.yaml",
    output: Output = "text",
    auth: AuthOption = None,
    sub: Subject = None,
    claim: ClaimOption = None,
    expires: Expires = "1h",
    key: KeyFile = None,
    kid: Kid = None,
    explain: Explain = False,
    verify: VerifyOption = None,
    api_key: ApiKey = None,
) -> None:
    """
    Make a token for trying out, or say what becomes of one.

    It is signed by the `secret` of an entry of `auth:`, or with the private key that belongs to its public one, has the
    issuer and audience that the entry wants, and is printed alone. What is real is made by an identity provider.

    With --verify, every entry says by the gateway's own code whether it takes a token, an API key too, or why not, and
    which routes that opens. The exit status is 1 if none does. Issuers and services are asked for it.

        pushgate token --auth staff --sub ada --claim cities=paris --claim cities=rome
        pushgate token --sub ada --claim 'level:=3' --expires 5m --explain
        pushgate token --auth staff --key issuer.pem --kid 2026-11 --sub ada

        # why is it refused?
        pushgate token --sub ada | pushgate token --verify -

        # a key for a client, and the line for gateway.yaml
        pushgate token --api-key acme
    """
    if sum((verify is not None, api_key is not None, auth is not None or sub is not None)) > 1:
        raise typer.BadParameter("make one thing at a time: a token, an API key, or a look at a token")
    if api_key is not None:
        _print_key(api_key, output)
        return
    if verify == "-" == file:
        raise typer.BadParameter("standard input is one of them: the configuration or the token", param_hint="--verify")
    config = require_config(file)
    if verify is not None:
        _look_at(config, sys.stdin.read().strip() if verify == "-" else verify, output)
        return
    name, entry = _entry(config, auth)
    _mint(name, entry, sub=sub, claims=claim or [], expires=expires, key=key, kid=kid, explain=explain, output=output)


def _print_key(client: str, output: str) -> None:
    from ..clock import Clock
    from ..config.auth import hash_of

    key = f"pgk_{''.join(Clock().token() for _ in range(4))}"  # 256 bits, and what it is
    if output == "json":
        print(json.dumps({"name": client, "key": key, "hash": hash_of(key)}, ensure_ascii=False, indent=2))
        return
    print("# for the client, which is told nowhere else")
    print(key)
    print("# for `keys:` of an entry of `auth:` of the kind api_key")
    print(f"- {{name: {json.dumps(client, ensure_ascii=False)}, hash: {json.dumps(hash_of(key))}}}")


# Making one.


def _entry(config: Gateway, name: str | None) -> tuple[str, JwtAuth]:
    """Return the entry to make a token for; what has no tokens is refused, with what it has instead."""
    tokens = {each: auth for each, auth in config.auth.items() if auth.kind == "jwt"}
    if name is None and len(tokens) == 1:
        return next(iter(tokens.items()))
    if name is None:
        told = f"say which: {', '.join(tokens)}" if tokens else "no entry of `auth:` is of the kind jwt"
        raise typer.BadParameter(told, param_hint="--auth")
    auth = config.auth.get(name)
    if auth is None:
        from ..config.finding import did_you_mean

        hint = did_you_mean(name, config.auth)
        raise typer.BadParameter(f"there is no entry `{name}`{hint}", param_hint="--auth")
    match auth.kind:
        case "jwt":
            return name, auth
        case "api_key":
            remedy = "keys; make one with --api-key"
        case "basic":
            remedy = f"user names and passwords; add one with `htpasswd -B {auth.htpasswd} NAME`"
        case "forward":
            remedy = f"what {auth.url} lets in; get it there"
    raise typer.BadParameter(f"{name} has no tokens but {remedy}", param_hint="--auth")


def _mint(
    name: str,
    entry: JwtAuth,
    *,
    sub: str | None,
    claims: list[str],
    expires: str,
    key: Path | None,
    kid: str | None,
    explain: bool,
    output: str,
) -> None:
    from ..clock import Clock
    from .minting import claims_of, payload, sign

    seconds = None if expires == "off" else seconds_of(expires, "--expires")
    told = payload(entry, subject=sub, claims=claims_of(claims), expires=seconds, now=Clock().wall())
    text = sign(name, entry, told, key=key, kid=kid)
    _warn(name, entry, text)
    if explain:
        print(json.dumps(told, ensure_ascii=False, indent=2), file=sys.stderr)
    print(json.dumps({"token": text, "claims": told}, ensure_ascii=False, indent=2) if output == "json" else text)


def _warn(name: str, entry: JwtAuth, text: str) -> None:
    """Say if the entry would not take its own token: the key may be another, a claim may be what it must not be."""
    import asyncio

    from ..auth.jwt import JwtAuthority
    from ..auth.keys import configured_key
    from ..clock import Clock
    from ..errors import Refusal

    if entry.jwks_url is not None:  # --verify asks it
        return
    authority = JwtAuthority(name, entry, configured_key(entry))
    try:
        asyncio.run(authority.verify(_shown(text), now=Clock().wall()))
    except Refusal as refusal:
        print(f"pushgate: {name} would refuse it: {refusal} ({refusal.code})", file=sys.stderr)


def _shown(text: str) -> Any:
    from ..auth.credential import Credential

    return Credential("header", text)


# Looking at one.


def _look_at(config: Gateway, text: str, output: str) -> None:
    import asyncio

    from .judging import judge, openings

    if not config.auth:
        raise typer.BadParameter("nobody is asked who they are: there is no `auth:`", param_hint="--config")
    with Progress(is_for_programs=output == "json").during("asking who takes it"):
        verdicts = asyncio.run(judge(config, text))
    found = {each.auth: [*openings(config, each.principal)] for each in verdicts if each.principal is not None}
    if output == "json":
        told = [_record(verdict, found.get(verdict.auth, [])) for verdict in verdicts]
        print(json.dumps({"accepted": bool(found), "auth": told}, ensure_ascii=False, indent=2))
    else:
        print("\n".join(line for each in verdicts for line in _lines(each, found.get(each.auth, []))))
    if not found:
        raise typer.Exit(1)


def _record(verdict: Verdict, opened: list[Opening]) -> dict[str, Any]:
    who = verdict.principal
    if who is None:
        return {"name": verdict.auth, "accepted": False, "code": verdict.code, "reason": verdict.reason}
    routes = [{"route": each.route, "open": each.is_open, "condition": each.condition} for each in opened]
    told = {"subject": who.subject, "issuer": who.issuer, "expires_at": _until(who.expires_at), "claims": who.claims}
    return {"name": verdict.auth, "accepted": True, **told, "routes": routes}


def _lines(verdict: Verdict, opened: list[Opening]) -> list[str]:
    paint, who = Paint(sys.stdout), verdict.principal
    if who is None:
        return [f"{verdict.auth}: {paint.red('refused')}: {legible(verdict.reason)} ({verdict.code})"]
    told = [who.subject or "a nameless principal", f"from {who.issuer}" if who.issuer else ""]
    until = _until(who.expires_at)
    told.append(f"until {until}" if until else "for ever")
    head = f"{verdict.auth}: {paint.green('accepted')}: {legible(', '.join(filter(None, told)))}"
    return [head, *(f"  {_opening(paint, each)}" for each in opened)]


def _opening(paint: Paint, opening: Opening) -> str:
    word = paint.green("open  ") if opening.is_open else paint.red("closed")
    return f"{word}  {opening.route}{f'  ({legible(opening.condition)})' if opening.condition else ''}"


def _until(at: float | None) -> str | None:
    from ..documents.changes import timestamp

    return None if at is None else timestamp(at)
