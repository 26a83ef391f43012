"""User names and passwords in an htpasswd file: who is let in, what that costs, and which files are refused."""

from __future__ import annotations

import asyncio
import threading
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from passlib.hash import apr_md5_crypt, bcrypt, ldap_sha1, sha256_crypt, sha512_crypt

from pushgate.auth.basic import MAX_LENGTH, MAX_WAITING, WORKERS, BasicAuthority, complaint
from pushgate.auth.credential import Credential, Presented
from pushgate.auth.htpasswd import MAX_FILE_BYTES, is_right
from pushgate.config.auth import BasicAuth
from pushgate.errors import AuthUnavailable, NotAuthenticated, OriginForbidden

Check = Callable[[str, str], bool]

# As cheap as each kind can be: what they cost is not what is tested.
ADA = bcrypt.using(rounds=4, ident="2y").hash("pä:ss")
BOB = apr_md5_crypt.hash("bob's")


def authority(path: Path, *lines: str, check: Check = is_right, **more: Any) -> BasicAuthority:
    path.write_text("".join(f"{line}\n" for line in lines))
    return BasicAuthority("staff", config(path, **more), check=check)


def config(path: Path, **more: Any) -> BasicAuth:
    return BasicAuth.model_validate({"kind": "basic", "htpasswd": str(path), **more})


def config_of_a_file_that_is_gone(path: Path) -> BasicAuth:
    path.write_text(f"ada:{ADA}\n")
    good = config(path)
    path.unlink()
    return good


def shown(user: str, password: str) -> Credential:
    return Credential("header", b64encode(f"{user}:{password}".encode()).decode())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "users"


async def test_a_user_is_who_the_file_says(file: Path) -> None:
    """Everything behind the first colon is the password, in UTF-8 (RFC 7617)."""
    principal = await authority(file, f"ada:{ADA}").verify(shown("ada", "pä:ss"), now=0)
    assert (principal.auth, principal.issuer, principal.subject) == ("staff", "", "ada")
    assert (principal.claims, principal.expires_at) == ({"sub": "ada"}, None)


@pytest.mark.parametrize("kind", [bcrypt.using(rounds=4), apr_md5_crypt, ldap_sha1, sha256_crypt, sha512_crypt])
def test_every_kind_of_hash_that_htpasswd_writes_will_do(file: Path, kind: Any) -> None:
    cheap = kind.using(rounds=1000) if "sha" in kind.name and kind is not ldap_sha1 else kind
    hashed = cheap.hash("right")
    file.write_text(f"# a comment\n\nada:{hashed}:more\n")
    assert complaint(config(file)) is None
    assert is_right("right", hashed)
    assert not is_right("wrong", hashed)


@pytest.mark.parametrize(
    "hashed",
    [
        "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/",
        "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=",
        "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC",
    ],
)
def test_the_hashes_of_the_apache_manual_are_of_its_password(hashed: str) -> None:
    """https://httpd.apache.org/docs/2.4/misc/password_encryptions.html"""
    assert is_right("myPassword", hashed)


@pytest.mark.parametrize(("user", "password"), [("ada", "wrong"), ("bob", "pä:ss"), ("eve", "pä:ss"), ("ada", "")])
async def test_one_answer_for_a_wrong_name_and_a_wrong_password(file: Path, user: str, password: str) -> None:
    """Who does not know the password learns nothing about names, not even with somebody's real password."""
    with pytest.raises(NotAuthenticated) as caught:
        await authority(file, f"ada:{ADA}", f"bob:{BOB}").verify(shown(user, password), now=0)
    assert (caught.value.code, str(caught.value)) == (
        "credentials_unknown",
        "the user name or the password is wrong",
    )


async def test_a_stranger_costs_what_a_user_costs(file: Path) -> None:
    """The password is checked against the same hash each time, so that no time differs from one try to the next."""
    hashes: list[str] = []

    def check(password: str, hashed: str) -> bool:
        hashes.append(hashed)
        return True

    some = authority(file, f"ada:{ADA}", f"bob:{BOB}", check=check)
    for name in ("eve", "eve", "mallory"):
        with pytest.raises(NotAuthenticated):
            await some.verify(shown(name, "any"), now=0)
    assert len(hashes) == 3
    assert hashes[0] == hashes[1]
    assert set(hashes) <= {ADA, BOB}


@pytest.mark.parametrize("password", ["p" * 73, "é" * 37])
async def test_a_password_longer_than_bcrypt_looks_at_is_wrong(file: Path, password: str) -> None:
    """Were it cut off at 72 bytes, everything behind them could be anything."""
    hashed = bcrypt.using(rounds=4).hash("p" * 72)
    some = authority(file, f"ada:{hashed}")
    assert (await some.verify(shown("ada", "p" * 72), now=0)).subject == "ada"
    with pytest.raises(NotAuthenticated) as caught:
        await some.verify(shown("ada", password), now=0)
    assert caught.value.code == "credentials_unknown"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada:pass",
        "YWRh",
        b64encode(b":pass").decode(),
        b64encode(b"ada:\xff").decode(),
        b64encode(b"ada:a\x00b").decode(),
        b64encode(b"ada:a\r\nb").decode(),
        "YWRhOnBh\ncw==",
        "ÿ\udcff",
        "YWRh" * (MAX_LENGTH // 4) + "YWRh",
    ],
)
async def test_what_is_no_user_and_password_is_malformed(file: Path, text: str) -> None:
    with pytest.raises(NotAuthenticated) as caught:
        await authority(file, f"ada:{ADA}").verify(Credential("header", text), now=0)
    assert caught.value.code == "credentials_malformed"


class TestVouching:
    """Whether a user that was let in may stay, by the file as it is now."""

    async def test_until_the_password_changes_or_the_user_goes(self, file: Path) -> None:
        principal = await authority(file, f"ada:{ADA}").verify(shown("ada", "pä:ss"), now=0)
        assert authority(file, f"ada:{ADA}", f"bob:{BOB}").vouches(principal)
        assert not authority(file, f"ada:{BOB}").vouches(principal)
        assert not authority(file, f"bob:{ADA}").vouches(principal)


class Slow:
    """A check that takes until it is released, and then says no."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.released = threading.Event()
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()

    def __call__(self, password: str, hashed: str) -> bool:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            if self._now == WORKERS:
                self._loop.call_soon_threadsafe(self.begun.set)
        assert self.released.wait(10)
        with self._lock:
            self._now -= 1
        return False


class TestWaiting:
    """Hashes are slow by intent, so there is a limit to how many are computed and how many wait."""

    async def test_who_would_wait_too_long_is_told_to_come_back(self, file: Path) -> None:
        """Few are checked at once, more wait, the next one is sent away, and later there is room again."""
        slow = Slow()
        some = authority(file, f"ada:{ADA}", check=slow)
        waiting = [asyncio.create_task(some.verify(shown("ada", "x"), now=0)) for _ in range(MAX_WAITING)]
        await slow.begun.wait()
        with pytest.raises(AuthUnavailable) as caught:
            await some.verify(shown("ada", "x"), now=0)
        assert caught.value.retry_after is not None
        slow.released.set()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {NotAuthenticated}
        assert slow.most == WORKERS
        with pytest.raises(NotAuthenticated):
            await some.verify(shown("ada", "x"), now=0)

    async def test_who_leaves_meanwhile_makes_no_room_for_more_at_once(self, file: Path) -> None:
        """A hash that is being computed cannot be given up, so it counts until it is done."""
        slow = Slow()
        some = authority(file, f"ada:{ADA}", check=slow)
        left = [asyncio.create_task(some.verify(shown("ada", "x"), now=0)) for _ in range(WORKERS)]
        await slow.begun.wait()
        for task in left:
            task.cancel()
        await asyncio.wait(left)
        more = [asyncio.create_task(some.verify(shown("ada", "x"), now=0)) for _ in range(WORKERS)]
        await asyncio.wait(more, timeout=0.05)  # that nothing begins takes time to be seen
        slow.released.set()
        assert {type(outcome) for outcome in await asyncio.gather(*more, return_exceptions=True)} == {NotAuthenticated}
        assert slow.most == WORKERS


class TestFile:
    """A file that cannot be used is refused as a whole, by name, line and user; never by its hashes."""

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (b"eve:secret", "the password of eve stands there in clear, or by a weak method such as crypt"),
            (b"eve:rqXexS6ZhobKA", "the password of eve stands there in clear, or by a weak method such as crypt"),
            (b"eve:$1$abc$def", "the password of eve stands there in clear, or by a weak method such as crypt"),
            (b"eve:", "the password of eve stands there in clear, or by a weak method such as crypt"),
            (b"eve:{SHA}abc", "the password of eve has a hash that is damaged"),
            (b"eve:$apr1$abc", "the password of eve has a hash that is damaged"),
            (b"eve:$2y$10$abc", "the password of eve has a hash that is damaged"),
            (b"eve:$2y$05$" + b"a" * 53, "the password of eve has a hash that is damaged"),
            (b"eve:$2x$05$" + b"." * 53, "the password of eve has a hash that is damaged"),
            (b"eve:$2y$16$" + b"." * 53, "the password of eve would take too long to check: a cost of 16, not 15"),
            (
                b"eve:$6$rounds=9999999$a$" + b"b" * 86,
                "the password of eve would take too long to check: a cost of 9999999, not 1000000",
            ),
            (b"eve", "is no user:hash"),
            (b":" + ADA.encode(), "is no user:hash"),
            (b"ada:" + BOB.encode(), "ada is named twice; remove one"),
            (b"\xff:" + BOB.encode(), "is not UTF-8; save the file in that encoding"),
        ],
    )
    def test_a_line_that_cannot_be_used(self, file: Path, line: bytes, message: str) -> None:
        file.write_bytes(f"# staff\nada:{ADA}\n".encode() + line + b"\n")
        said = complaint(config(file))
        assert said is not None
        assert said.startswith(f"{file}, line 3: {message}")
        assert line.partition(b":")[2].decode("latin-1") not in said or line.endswith((b"eve", b":"))

    @pytest.mark.parametrize("content", [b"", b"# nobody\n"])
    def test_an_empty_file_is_a_mistake(self, file: Path, content: bytes) -> None:
        file.write_bytes(content)
        assert complaint(config(file)) == f"{file} lists nobody; add a user with `htpasswd -B`"

    def test_a_file_without_end(self, file: Path) -> None:
        file.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
        assert complaint(config(file)) == f"{file} is larger than {MAX_FILE_BYTES} bytes"

    async def test_a_file_that_broke_after_it_was_checked_lets_nobody_in(self, file: Path) -> None:
        """Nor does it end a reload in the middle."""
        gone = config_of_a_file_that_is_gone(file)
        assert complaint(gone) == f"{file} cannot be read: No such file or directory"
        with structlog.testing.capture_logs() as logs:
            broken = BasicAuthority("staff", gone)
        assert [line["event"] for line in logs] == ["auth.htpasswd_unusable"]
        with pytest.raises(AuthUnavailable):
            await broken.verify(shown("ada", "pä:ss"), now=0)


class TestFinding:
    def test_the_scheme_is_basic(self, file: Path) -> None:
        some = authority(file, f"ada:{ADA}")
        found = some.find(Presented(headers={"authorization": "Basic YTpi"}))
        assert found is not None and found.text == "YTpi"
        assert some.find(Presented(headers={"authorization": "Bearer YTpi"})) is None

    def test_a_page_of_another_site_cannot_use_the_password_that_a_browser_remembers(self, file: Path) -> None:
        """Browsers add it to every request to its host, whoever makes it."""
        some = authority(file, f"ada:{ADA}", carriers=["header", "query"])
        with pytest.raises(OriginForbidden):
            some.find(Presented(headers={"authorization": "Basic YTpi"}, origin_allows_cookies=False))
        found = some.find(Presented(token="YTpi", origin_allows_cookies=False))
        assert found is not None and found.carrier == "query"

    def test_the_challenge_names_the_realm_and_utf_8(self, file: Path) -> None:
        some = authority(file, f"ada:{ADA}", realm='the "best"\\')
        assert some.challenge == r'Basic realm="the \"best\"\\", charset="UTF-8"'
