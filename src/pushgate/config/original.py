"""
gateway.yaml as it lies on the disk, with all the files that it brings in: read once, and again when one has changed.

What counts is what files hold. A file that was touched, or replaced by an equal one, has not changed; one that a link
now leads to has. What an attempt has read counts also if it failed: nobody is told twice of the same mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from .gateway import Gateway
from .interpolation import Contents, digest
from .loader import load


class Original:
    """A file that a Gateway can be read from. ``check`` raises ConfigError for what the file itself cannot know."""

    def __init__(
        self, path: Path, *, environ: Mapping[str, str], check: Callable[[Gateway], None] = lambda _: None
    ) -> None:
        self.path = path
        self._environ = environ
        self._check = check
        self._contents: Contents = {path: None}

    def read(self) -> Gateway:
        """Return what the file says now; raises ConfigError."""
        contents: Contents = {self.path: None}
        try:
            gateway = load(self.path, environ=self._environ, contents=contents)
            for file in _named_files(gateway):
                contents[file] = digest_of(file)
            self._check(gateway)
            return gateway
        finally:
            self._contents = contents

    def has_changed(self) -> bool:
        """Whether any file holds something else than when it was last read."""
        return any(digest_of(file) != known for file, known in self._contents.items())

    def folders(self) -> frozenset[Path]:
        """Return where something happens when one of the files changes, also if it is reached through links."""
        places = [place for file in self._contents for place in (file.absolute(), file.resolve())]
        return frozenset(place.parent for place in places if place.parent.is_dir())


def digest_of(file: Path) -> bytes | None:
    """Return what tells a file's content from another; None if it cannot be read."""
    try:
        return digest(file.read_bytes())
    except OSError:
        return None


def _named_files(gateway: Gateway) -> list[Path]:
    """Return the files whose content is a part of what is done, although the configuration has only their names."""
    tls = [gateway.server.tls, *(upstream.tls for upstream in gateway.upstreams.values())]
    certificates = [file for section in tls if section is not None for file in (section.certificate, section.key)]
    users = [auth.htpasswd for auth in gateway.auth.values() if auth.kind == "basic"]
    named = [*certificates, *users, *(route.request.body_file for route in gateway.routes.values())]
    return [Path(file) for file in named if file is not None]
