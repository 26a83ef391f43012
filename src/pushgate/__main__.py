"""``python -m pushgate`` and ``pushgate``, which are the same."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process; ends with SystemExit."""
    if sys.argv[1:2] == ["health"]:  # it does not wait for what all others need
        from .healthcheck import main as check

        if (status := check(sys.argv[2:])) is not None:
            sys.exit(status)
    from .cli import main as run

    run()


if __name__ == "__main__":
    main()
