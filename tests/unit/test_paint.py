"""What a terminal gets to see of what a backend says."""

from __future__ import annotations

from pushgate.cli.paint import legible


def test_a_backend_says_nothing_to_the_terminal() -> None:
    """Control characters are written out, in every text of a value; all others stay, umlauts and emoji too."""
    assert legible("\x1b[31mred\x07 \x9b2J\r\n") == "\\x1b[31mred\\x07 \\x9b2J\\r\\n"
    assert legible("abc\u202edef") == "abc\\u202edef"
    assert legible({"a\x1b": ["\x00", 1, None, ("ü 😀",)]}) == {"a\\x1b": ["\\x00", 1, None, ["ü 😀"]]}
