"""How a command finds the admin listener, and what it shows there."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pushgate.cli import app
from pushgate.cli.operator import Reach, find_admin

OWN, OTHER = "token-of-the-file", "token-of-an-operator"
FILE = """
version: 1
server: {{admin: {{listen: "{listen}", token: {token}}}}}
upstreams: {{bikes: {{url: "https://bikes.example"}}}}
routes: {{/stations: {{upstream: bikes}}}}
"""


def reach(folder: Path, listen: str, *, token: str = "") -> Reach:
    file = folder / "gateway.yaml"
    file.write_text(FILE.format(listen=listen, token=OWN))
    return find_admin(str(file), "", token)


@pytest.mark.parametrize(
    ("listen", "host"),
    [("127.0.0.1:8081", "127.0.0.1"), ("0.0.0.0:8081", "127.0.0.1"), (":8081", "127.0.0.1"), ("[::]:8081", "::1")],
)
def test_on_this_machine_no_token_is_shown(tmp_path: Path, listen: str, host: str) -> None:
    """The file's may be the very one that a reload is to bring, which the gateway would not know."""
    assert reach(tmp_path, listen) == Reach(host, 8081)


def test_elsewhere_the_token_of_the_file_is_shown(tmp_path: Path) -> None:
    assert reach(tmp_path, "10.0.0.5:8081") == Reach("10.0.0.5", 8081, OWN)


def test_a_token_that_is_given_is_shown_everywhere(tmp_path: Path) -> None:
    assert reach(tmp_path, "127.0.0.1:8081", token=OTHER).token == OTHER
    assert reach(tmp_path, "10.0.0.5:8081", token=OTHER).token == OTHER
    assert find_admin("no such file", "gateway:8081", OTHER) == Reach("gateway", 8081, OTHER)


@pytest.mark.parametrize("command", ["drain", "reload"])
def test_a_token_that_no_header_can_carry_is_not_repeated(command: str) -> None:
    """By the option or by PUSHGATE_ADMIN_TOKEN."""
    for arguments, environ in (([f"--token={OTHER}\r\nX: y"], {}), ([], {"PUSHGATE_ADMIN_TOKEN": f"{OTHER} "})):
        told = CliRunner().invoke(app, [command, "--admin", "127.0.0.1:1", *arguments], env=environ)
        assert told.exit_code == 2 and "Authorization" in told.stderr
        assert OTHER not in told.output + told.stderr


def test_a_token_is_not_shown_in_a_repr() -> None:
    assert OTHER not in repr(Reach("gateway", 8081, OTHER))


def test_an_address_without_a_port_is_none() -> None:
    with pytest.raises(typer.BadParameter, match="write the admin listener like"):
        find_admin("no such file", "gateway", "")
