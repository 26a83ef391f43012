"""``pushgate version``."""

from __future__ import annotations

from .. import __version__


def version() -> None:
    """
    Print the version.

    Upstreams see it as User-Agent, and metrics have it as pushgate_build_info.

        pushgate version
    """
    print(f"pushgate {__version__}")
