"""The libraries of ``pip install pushgate[formats]``, imported when an answer needs them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ....errors import PollError


def library(name: str) -> Any:
    """Import a module; raises PollError(``decode``) that says how to install it."""
    try:
        return import_module(name)
    except ImportError as exc:
        raise PollError("decode", f"this format needs {name.partition('.')[0]}: install pushgate[formats]") from exc


def is_installed(name: str) -> bool:
    """Whether there is such a top-level package; it is not imported."""
    return find_spec(name) is not None
