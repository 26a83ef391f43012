"""A file that is read again when it, or something that it brings in, says something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pushgate.config.original import Original
from pushgate.errors import ConfigError

# Files that gateway.yaml brings in or names.
NAMED = ["secret", "body", "users", "tls.crt", "tls.key", "me.crt", "me.key"]


def says(**route: Any) -> str:
    content = {
        "version": 1,
        "server": {"tls": {"certificate": "tls.crt", "key": "tls.key"}},
        "upstreams": {"u": {"url": "http://u.example", "tls": {"certificate": "me.crt", "key": "me.key"}}},
        "auth": {"people": {"kind": "basic", "htpasswd": "users"}},
        "routes": {"/t": {"upstream": "u", "auth": "people", **route}},
    }
    return json.dumps(content)


@pytest.fixture
def original(tmp_path: Path) -> Original:
    file = tmp_path / "gateway.yaml"
    file.write_text(says(description="${file:secret}", request={"method": "POST", "body_file": "body"}))
    for name in NAMED:
        (tmp_path / name).write_text("one")
    original = Original(file, environ={})
    original.read()
    return original


def test_what_is_the_same_has_not_changed(original: Original) -> None:
    """Also if the file was saved, or replaced by an equal one."""
    assert not original.has_changed()
    content = original.path.read_bytes()
    original.path.unlink()
    original.path.write_bytes(content)
    assert not original.has_changed()


@pytest.mark.parametrize("name", ["gateway.yaml", *NAMED])
def test_every_file_that_has_a_part_in_it_counts(original: Original, name: str) -> None:
    file = original.path.parent / name
    file.write_text(says() if name == "gateway.yaml" else "two")
    assert original.has_changed()
    original.read()
    assert not original.has_changed()


def test_a_file_that_is_gone_has_changed(original: Original) -> None:
    (original.path.parent / "secret").unlink()
    assert original.has_changed()


def test_a_mistake_is_not_looked_at_twice_until_something_changes(original: Original) -> None:
    """A secret that is missing counts as read, so that its appearing is noticed."""
    original.path.write_text(says(description="${file:later}"))
    with pytest.raises(ConfigError):
        original.read()
    assert not original.has_changed()
    (original.path.parent / "later").write_text("here")
    assert original.has_changed()
    assert original.read().routes["/t"].description == "here"


def test_a_file_that_cannot_be_read_is_noticed_when_it_is_back(original: Original) -> None:
    content = original.path.read_text()
    original.path.unlink()
    with pytest.raises(ConfigError):
        original.read()
    assert not original.has_changed()
    original.path.write_text(content)
    assert original.has_changed()


def test_folders_are_those_of_the_links_and_of_what_they_lead_to(tmp_path: Path) -> None:
    """Where a name may be given to another file, and where that file may be written to."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "g.yaml").write_text(says())
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "users").touch()
    link = tmp_path / "links" / "gateway.yaml"
    link.symlink_to("../real/g.yaml")
    original = Original(link, environ={})
    original.read()
    assert original.folders() == {tmp_path / "real", tmp_path / "links"}
