"""gateway.yaml from its text to a frozen Gateway, or to all that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping as Environment
from pathlib import Path as FilePath

from pydantic import ValidationError

from ..errors import ConfigError, ConfigProblem
from . import cautions, checks, defaults, source
from .explaining import explain
from .gateway import Gateway
from .interpolation import Contents, Interpolation, digest
from .pending import report_pending
from .report import Report, marks
from .tree import Mark, Path, Plain, plain

# The sections whose keys are names.
_ENTRIES = ("upstreams", "auth", "routes", "proxy")


def load(path: FilePath, *, environ: Environment[str, str], contents: Contents | None = None) -> Gateway:
    """
    Read and check a file; raises ConfigError with everything that is wrong, in the order of the file.

    ``contents`` is told of every file that is read, this one and those that it brings in.
    """
    contents = {} if contents is None else contents
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror}; name another file with -c"
        raise ConfigError([ConfigProblem(str(path), 1, 1, message)]) from None
    contents[path] = digest(content)
    return parse(content, file=str(path), environ=environ, base=path.parent, contents=contents)


def parse(
    text: str | bytes,
    *,
    file: str,
    environ: Environment[str, str],
    base: FilePath,
    contents: Contents | None = None,
) -> Gateway:
    """
    Check the text of a gateway.yaml; raises ConfigError as ``load`` does.

    ``file`` is what messages call it, ``base`` the folder in which relative paths start.
    """
    interpolation = Interpolation(environ, base, {} if contents is None else contents)
    raw: list[tuple[Mark, str]] = []
    try:
        written = source.read(_decode(text), interpolate=interpolation, problems=raw)
    except source.Malformed as error:
        problem = ConfigProblem(file, error.mark.line, error.mark.column, error.message)
        raise ConfigError([problem]) from None
    tree = defaults.merged(written)
    from_defaults = marks(written.entries.get("defaults"))
    report = Report(file, tree, defaults=from_defaults, hide=interpolation.hide)
    for mark, message in raw:
        report.add_raw(mark, message)
    gateway = _validated(report, base)
    report_pending(report)
    if problems := report.problems():
        raise ConfigError(problems)
    assert gateway is not None
    gateway.remember(report)
    return gateway


def warnings(gateway: Gateway) -> list[ConfigProblem]:
    """Return what works and is worth a second thought, in the order of the file."""
    report = gateway.origin.blank()
    for finding in cautions.caution(gateway):
        report.add_finding(finding)
    return report.problems()


def _decode(text: str | bytes) -> str:
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = text[: error.start]
        mark = Mark(before.count(b"\n") + 1, len(before) - before.rfind(b"\n"))
        raise source.Malformed(mark, "is not UTF-8; save the file in that encoding") from None


def _validated(report: Report, base: FilePath) -> Gateway | None:
    """Report what is wrong within the sections, then between those that are right; return the Gateway if all are."""
    content = plain(report.tree)
    assert isinstance(content, dict)
    names = {section: _names(content.get(section)) for section in _ENTRIES}
    context = {"base": base}
    gateway: Gateway | None
    try:
        gateway = sound = Gateway.model_validate(content, context=context)
    except ValidationError as error:
        gateway = None
        sound = Gateway.model_validate(_without(content, explain(error, report, Gateway)), context=context)
    for finding in checks.check(sound, names):
        report.add_finding(finding)
    return gateway


def _names(section: Plain) -> frozenset[str]:
    return frozenset(section) if isinstance(section, dict) else frozenset()


def _without(content: dict[str, Plain], wrong: list[Path]) -> dict[str, Plain]:
    """Return the content without the entries and sections that something is wrong with, so that the rest is sound."""
    rest = {**content, "version": 1}
    for path in wrong:
        section = rest.get(str(path[0])) if path else None
        if path[0] in _ENTRIES and len(path) > 1 and isinstance(section, dict):
            rest[str(path[0])] = {name: entry for name, entry in section.items() if name != path[1]}
        elif path[0] != "version":
            rest.pop(str(path[0]), None)
    return rest
