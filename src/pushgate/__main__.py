"""``python -m pushgate`` and ``pushgate``, which are the same."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process; ends with SystemExit."""
    # A probe does not wait for what all others need. Whoever looks on wants to see that we wait for the gateway.
    if sys.argv[1:2] == ["health"] and not sys.stderr.isatty():
        from .healthcheck import main as check

        if (status := check(sys.argv[2:])) is not None:
            sys.exit(status)
    from .cli import main as run

    run()


if __name__ == "__main__":
    main()
