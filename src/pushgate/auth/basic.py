"""
``kind: basic``: user names and passwords (RFC 7617) from an htpasswd file.

Rule 1: a password kept as plain text or by DES crypt is no secret from anybody who sees the file; such a line is
refused, and so is one that would keep the machine busy for seconds.
Rule 2: hashes are slow by intent. They are computed beside the event loop, few at once, and whoever would have to wait
for too many others is told to come back.
Rule 3: who is not in the file costs the same as who is: the password is checked against somebody's hash, always the
same one for a name, and refused whatever comes of it.
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import msgspec
import structlog

from ..config.auth import BasicAuth
from ..errors import AuthUnavailable, NotAuthenticated, OriginForbidden
from ..values import Principal
from .carriers import find
from .credential import Credential, Presented
from .htpasswd import is_right, read_users

log = structlog.get_logger()

# A minute's requests of a client cost one check, and a password that was changed does not live on for longer.
REMEMBERED = 60.0

# So many checks at once leave a core to the event loop, on any machine with more than two.
WORKERS = 2

# At 250 ms a check the last one of these waits four seconds, which is as long as a browser's user does.
MAX_WAITING = 32

# After so many seconds a queue of that length is gone.
COME_BACK = 5.0

# In characters of base64: 1.5 KB of name and password. bcrypt looks at 72 bytes of the latter.
MAX_LENGTH = 2048

_CONTROLS = re.compile("[\x00-\x1f\x7f]")


class BasicAuthority:
    """Knows the users of one entry of ``auth:`` as its file had them when this was made."""

    def __init__(self, name: str, config: BasicAuth, *, check: Callable[[str, str], bool] = is_right) -> None:
        self.name = name
        self.carriers = config.carriers
        self.remembers_for = REMEMBERED
        self._config = config
        self._users = _users(name, config)
        # A pool, not a semaphore: a thread whose client has left goes on, and must be counted until it is done.
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix=f"auth-{name}")
        self._waiting = 0
        self._is_right = check

    @property
    def challenge(self) -> str:
        realm = re.sub(r'(["\\])', r"\\\1", self._config.realm)
        return f'Basic realm="{realm}", charset="UTF-8"'

    def find(self, presented: Presented) -> Credential | None:
        """
        Return what is meant for this entry; None if nothing is.

        Raises OriginForbidden if a browser adds the password to another site's request, as it does to all of them once
        its user has typed it.
        """
        credential = find(self._config, presented)
        if credential is not None and credential.carrier == "header" and not presented.origin_allows_cookies:
            raise OriginForbidden("a page of this origin may not use its visitor's password here (server.cors.origins)")
        return credential

    async def verify(self, credential: Credential, *, now: float) -> Principal:
        user, password = _read(credential.text)
        if not self._users:
            raise AuthUnavailable("the list of users cannot be read now", retry_after=COME_BACK)
        known = self._users.get(user)
        hashed = _somebodys(self._users, user) if known is None else known
        if not await self._check(password, hashed) or known is None:
            raise NotAuthenticated("credentials_unknown", "the user name or the password is wrong")
        return Principal(self.name, "", user, {"sub": user}, proof=_proof(user, known))

    def vouches(self, principal: Principal) -> bool:
        """Whether the user is still in the file, with the same password."""
        hashed = self._users.get(principal.subject)
        return hashed is not None and principal.proof == _proof(principal.subject, hashed)

    def knows_the_same(self, other: object) -> bool:
        """Whether another entry has the same users, with the same passwords."""
        return isinstance(other, BasicAuthority) and other._users == self._users

    async def _check(self, password: str, hashed: str) -> bool:
        if self._waiting >= MAX_WAITING:
            raise AuthUnavailable("too many passwords are being checked", retry_after=COME_BACK)
        self._waiting += 1
        try:
            # No timeout: what stands before it is bounded, and so is what each may cost.
            return await asyncio.get_running_loop().run_in_executor(self._workers, self._is_right, password, hashed)
        finally:
            self._waiting -= 1


def complaint(config: BasicAuth) -> str | None:
    """Say what is wrong with the file; None if it can be used."""
    try:
        read_users(Path(config.htpasswd))
    except ValueError as exc:
        return str(exc)
    return None


def _users(name: str, config: BasicAuth) -> Mapping[str, str]:
    """Read the file; if it broke after it was checked, nobody is let in until it is read again."""
    try:
        return read_users(Path(config.htpasswd))
    except ValueError as exc:
        log.error("auth.htpasswd_unusable", auth=name, file=config.htpasswd, error=str(exc))
        return {}


def _read(text: str) -> tuple[str, str]:
    """Return the user and the password that stand behind ``Basic`` (RFC 7617 section 2)."""
    try:
        if len(text) > MAX_LENGTH:
            raise ValueError("too long")
        pair = b64decode(text, validate=True).decode()
    except (NoBase64, ValueError) as exc:
        raise NotAuthenticated("credentials_malformed", "no base64 of user:password in UTF-8") from exc
    user, colon, password = pair.partition(":")
    if not user or not colon or _CONTROLS.search(pair):
        raise NotAuthenticated("credentials_malformed", "no base64 of user:password in UTF-8")
    return user, password


def _somebodys(users: Mapping[str, str], stranger: str) -> str:
    hashes = [*users.values()]
    return hashes[int.from_bytes(sha256(stranger.encode()).digest()) % len(hashes)]


def _proof(user: str, hashed: str) -> str:
    return sha256(msgspec.json.encode(["basic", user, hashed])).hexdigest()
