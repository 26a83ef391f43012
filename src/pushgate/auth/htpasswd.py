"""
An htpasswd file: who may come in, and what their passwords hash to.

Rule 1: what cannot be used is refused as a whole, with its line; nobody is locked out, or let in, by a line that was
skipped in silence.
Rule 2: no message repeats a hash.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from passlib.context import CryptContext  # type: ignore[import-untyped]  # libpass brings no types
from passlib.exc import PasslibHashWarning  # type: ignore[import-untyped]  # the same

MAX_FILE_BYTES = 1_000_000

# What `htpasswd` writes with -B, -m, -s, -2 and -5.
_KINDS = CryptContext(["bcrypt", "apr_md5_crypt", "ldap_sha1", "sha256_crypt", "sha512_crypt"])

# What takes a second or two on a slow machine; bcrypt counts doublings.
_MAX_ROUNDS = {"bcrypt": 15, "sha256_crypt": 1_000_000, "sha512_crypt": 1_000_000}

# In base64; the library takes any length.
_SHA1_LENGTH = 28

_REMEDY = "write it anew with `htpasswd -B`"


def read_users(path: Path) -> dict[str, str]:
    """Return the hash of each user's password; raises ValueError with a message for the operator."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ValueError(f"{path} cannot be read: {exc.strerror}") from exc
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
    users: dict[str, str] = {}
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith(b"#"):
            try:
                _add(users, line)
            except ValueError as exc:
                raise ValueError(f"{path}, line {number}: {exc}") from None
    if not users:
        raise ValueError(f"{path} lists nobody; add a user with `htpasswd -B`")
    return users


def is_right(password: str, hashed: str) -> bool:
    """Whether the password is the one; slow by intent."""
    try:
        return bool(_KINDS.verify(password, hashed))
    except ValueError:  # longer than what its kind looks at: 72 bytes (bcrypt), 4096 otherwise
        return False


def _add(users: dict[str, str], line: bytes) -> None:
    try:
        text = line.decode().strip()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8; save the file in that encoding") from None
    user, colon, rest = text.partition(":")
    if not user or not colon:
        raise ValueError(f"is no user:hash; {_REMEDY}")
    if user in users:
        raise ValueError(f"{user} is named twice; remove one")
    hashed = rest.partition(":")[0]  # some tools add a comment behind another colon
    _check(user, hashed)
    users[user] = hashed


def _check(user: str, hashed: str) -> None:
    kind = _KINDS.identify(hashed, resolve=True)
    if kind is None:
        raise ValueError(f"the password of {user} stands there in clear, or by a weak method such as crypt; {_REMEDY}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PasslibHashWarning)
            parsed = kind.from_string(hashed)
            is_whole = parsed.checksum is not None and parsed.to_string() == hashed
    except (ValueError, PasslibHashWarning):
        is_whole = False
    if not is_whole or (kind.name == "ldap_sha1" and len(parsed.checksum) != _SHA1_LENGTH):
        raise ValueError(f"the password of {user} has a hash that is damaged; {_REMEDY}")
    most = _MAX_ROUNDS.get(kind.name)
    if most is not None and parsed.rounds > most:
        raise ValueError(f"the password of {user} would take too long to check: a cost of {parsed.rounds}, not {most}")
