"""``python -m pushgate`` is the ``pushgate`` command."""

from .cli import main

main()
