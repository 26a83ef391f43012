"""
``${VAR}`` and its relatives inside one scalar of gateway.yaml.

    ${VAR}              the variable; not set is an error
    ${VAR:-default}     the default if it is not set or empty
    ${VAR:?message}     the message as the error if it is not set or empty
    ${file:/a/path}     the file's text without its last line end; a relative path starts at gateway.yaml's folder
    $${                 a literal ${

Scalars are replaced after YAML was parsed: a value cannot add keys, and what it brings is text, never YAML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

from .hidden import Brought

MAX_FILE_BYTES = 1_000_000

# So much of a file is looked at to see whether it has changed.
COMPARED_BYTES = 16_000_000

_EXPRESSION = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::([-?])(.*))?", re.DOTALL)

# Anything shorter is no secret, and would riddle the messages with expressions.
_SECRET_LENGTH = 4


# The digest of what each file held; None: it could not be read.
Contents = dict[Path, bytes | None]


def digest(content: bytes) -> bytes:
    """Return what tells a content from another."""
    return blake2b(content[:COMPARED_BYTES], digest_size=16).digest()


class Interpolation:
    """
    Replaces expressions, and remembers what they brought so that no message repeats it.

    ``contents`` is told of the files that were read, or could not be.
    """

    def __init__(self, environ: Mapping[str, str], base: Path, contents: Contents | None = None) -> None:
        self._environ = environ
        self._base = base
        self._contents = {} if contents is None else contents
        self._brought: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        """
        Return the text with all expressions replaced; raises ValueError with a message for the user.

        It is Brought if a file has a part in it: that is nobody's business, whatever it is for.
        """
        parts: list[str] = []

        def replace(match: re.Match[str]) -> str:
            value = self._replace(match)
            if _is_file(match):
                parts.append(value)
            return value

        whole = _EXPRESSION.sub(replace, text)
        return Brought.by(whole, parts) if parts else whole

    def hide(self, message: str) -> str:
        """Put the expression back where a message repeats what came from the environment or a file."""
        for value in sorted(self._brought, key=len, reverse=True):
            message = message.replace(value, self._brought[value])
        return message

    def _replace(self, match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        expression = match[1]
        if not match[2]:
            raise ValueError("`${` has no `}`; write `$${` for a literal `${`")
        if _is_file(match):
            return self._remember(expression, self._read(expression.removeprefix("file:")))
        return self._variable(expression)

    def _variable(self, expression: str) -> str:
        match = _VARIABLE.fullmatch(expression)
        if match is None or "${" in expression:
            raise ValueError(f"`${{{expression}}}` is no variable; write ${{NAME}}, or `$${{` for a literal `${{`")
        name, operator, operand = match.groups()
        value = self._environ.get(name)
        if value or (value is not None and operator is None):
            return self._remember(expression, value)
        if operator == "-":
            return str(operand)
        if operator == "?":
            raise ValueError(f"{name}: {operand or 'is not set'}")
        raise ValueError(f"${{{name}}} is not set; set it, or write ${{{name}:-default}}")

    def _read(self, name: str) -> str:
        path = self._base / name
        self._contents[path] = None
        try:
            with path.open("rb") as file:
                content = file.read(COMPARED_BYTES)
            self._contents[path] = digest(content)
            text = content.decode()
        except OSError as error:
            raise ValueError(f"${{file:{name}}} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"${{file:{name}}} is not UTF-8 text") from None
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"${{file:{name}}} is larger than {MAX_FILE_BYTES} bytes")
        return text.removesuffix("\n").removesuffix("\r")

    def _remember(self, expression: str, value: str) -> str:
        if len(value) >= _SECRET_LENGTH:
            self._brought[value] = f"${{{expression}}}"
        return value


def _is_file(match: re.Match[str]) -> bool:
    return match[1] is not None and match[1].startswith("file:")
