"""What only some gateways need is imported by those alone: it costs the others memory, and time at every start."""

from __future__ import annotations

import subprocess
import sys

# What comes with it, and which configuration asks for it.
FOR_SOME = {
    "cryptography": "auth: kind: jwt, or tls:",
    "jwt": "auth: kind: jwt",
    "passlib": "auth: kind: basic",
    "bcrypt": "auth: kind: basic",
    "lxml": "format: xml or html",
    "selectolax": "format: html",
    "feedparser": "format: feed",
    "opentelemetry": "traces",
}


def test_a_gateway_that_needs_none_of_these_has_none_of_them() -> None:
    program = "import sys, pushgate.cli.run, pushgate.gateway; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert {name: why for name, why in FOR_SOME.items() if name in done.stdout.split()} == {}
