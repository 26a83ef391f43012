"""Tokens and keys for trying a gateway out: signed by what its configuration believes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from ..config.auth import JwtAuth
from ..config.signatures import Algorithm, algorithms_of, algorithms_of_secret, secret_bytes, strong


def claims_of(texts: Sequence[str]) -> dict[str, Any]:
    """
    Read ``--claim``: ``name=text``, or ``name:=json``; a name that is given more than once becomes a list.

    Raises BadParameter.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not (name.rstrip(":") and mark):
            raise typer.BadParameter(f"{text}: write it like cities=paris, or roles:='[1, 2]'", param_hint="--claim")
        claim = _json(value) if name.endswith(":") else value
        name = name.removesuffix(":")
        found[name] = claim if name not in found else [*_listed(found[name]), claim]
    return found


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text} is no JSON: {error}", param_hint="--claim") from None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def payload(
    config: JwtAuth, *, subject: str | None, claims: Mapping[str, Any], expires: float | None, now: float
) -> dict[str, Any]:
    """Return what a token says: what its entry wants of it, what is asked for, and until when; dates are whole."""
    told: dict[str, Any] = {}
    if config.issuer is not None:
        told["iss"] = config.issuer
    if config.audience:
        told["aud"] = config.audience[0]
    if subject is not None:
        told["sub"] = subject
    told["iat"] = int(now)
    if expires is not None:
        told["exp"] = int(now + expires)
    return {**told, **claims}


def sign(name: str, config: JwtAuth, told: Mapping[str, Any], *, key: Path | None, kid: str | None) -> str:
    """Sign a token as an entry of ``auth:`` wants it; raises BadParameter for a key that is none, or missing."""
    import jwt

    material, fitting = _material(name, config, key)
    algorithm = next((each for each in config.algorithms or fitting if each in fitting), None)
    if algorithm is None:
        wanted = ", ".join(config.algorithms)
        raise typer.BadParameter(f"it signs by {', '.join(fitting)}, and {name} takes {wanted}", param_hint="--key")
    try:
        return jwt.encode(dict(told), material, algorithm=algorithm, headers={"kid": kid} if kid else None)
    except TypeError as error:  # what a claim must be that has a meaning
        raise typer.BadParameter(str(error), param_hint="--claim") from None


def _material(name: str, config: JwtAuth, key: Path | None) -> tuple[Any, tuple[Algorithm, ...]]:
    if config.secret is not None:
        if key is not None:
            raise typer.BadParameter(f"{name} has a `secret`, which signs; leave it out", param_hint="--key")
        secret = config.secret.get_secret_value()
        return secret_bytes(secret), algorithms_of_secret(secret)
    if key is None:
        where = f"`public_key` of {name}" if config.public_key is not None else f"{config.jwks_url}"
        raise typer.BadParameter(f"name the private key that belongs to {where}", param_hint="--key")
    return _private_key(key)


def _private_key(file: Path) -> tuple[Any, tuple[Algorithm, ...]]:
    """Return a key and what it can sign; words about it never hold any of it."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(file.read_bytes(), password=None)
        return private, algorithms_of(strong(private.public_key()))
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="--key") from None
    except TypeError:
        raise typer.BadParameter(f"{file} is encrypted; decrypt it first", param_hint="--key") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        reason = str(error) if str(error).startswith("is ") else "is no private key in PEM form"
        raise typer.BadParameter(f"{file} {reason}", param_hint="--key") from None
