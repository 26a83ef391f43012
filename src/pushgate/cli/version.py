"""``pushgate version``."""

from __future__ import annotations

from .. import __version__


def version() -> None:
    """
    Print the version.

        pushgate version
    """
    print(f"pushgate {__version__}")
