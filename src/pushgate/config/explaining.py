"""What pydantic found, in the words of gateway.yaml: at its key, with what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import ValidationError

from .finding import did_you_mean
from .hidden import is_credential
from .report import Report
from .scalars import kind_of
from .section import Section, keys_of
from .tree import Path, Plain, known_path

_WANTED = {
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "string_type": "text",
}


def explain(error: ValidationError, report: Report, top: type[Section]) -> list[Path]:
    """Report every error; return the paths of those that are wrong."""
    found = []
    for details in error.errors(include_input=False, include_url=False):
        path = known_path(report.tree, details["loc"])
        context = details.get("ctx", {})
        match details["type"]:
            case "missing":
                path = (*known_path(report.tree, details["loc"][:-1]), details["loc"][-1])
                report.add_missing(path)
            case "extra_forbidden":
                sections = _sections([top], details["loc"][:-1])
                report.add_key(path, f"unknown key{_known(str(path[-1]), sections)}")
            case "union_tag_not_found":
                path = (*path, "kind")
                report.add_missing(path)
            case "union_tag_invalid":
                path = known_path(report.tree, (*path, "kind"))  # `format: jsn` has no kind
                report.add_value(path, _choice(report.value(path), context["expected_tags"]))
            case "misplaced":
                path = (*path, *context["path"])
                report.add_value(path, _quoted(report.value(path)) or context["message"])
            case kind:
                _report_value(report, path, kind, context, details)
        found.append(path)
    return found


def _report_value(report: Report, path: Path, kind: str, context: dict[str, Any], details: Any) -> None:
    value = report.value(path)
    is_key = details["loc"][-1:] == ("[key]",)
    if kind == "value_error":
        message = str(context["error"])
    elif kind == "literal_error":
        message = _choice(str(path[-1]) if is_key else value, context["expected"])
    elif kind in _WANTED:
        message = f"must be {_WANTED[kind]}, not {kind_of(value)}"
    else:
        message = details["msg"]
    if is_key:
        report.add_key(path, message)
    else:
        is_secret = any(is_credential(str(step)) for step in path)
        report.add_value(path, (kind not in _WANTED and not is_secret and _quoted(value)) or message)


def _quoted(value: Plain) -> str | None:
    """Say how to write what YAML took for a mapping: ``contains: {city}``."""
    if isinstance(value, dict) and len(value) == 1 and list(value.values()) == [None]:
        text = f"{{{next(iter(value))}}}"
        return f'{text} without quotes is a mapping in YAML; write "{text}"'
    return None


def _choice(value: Plain, expected: str) -> str:
    names = re.findall(r"'([^']*)'", expected) or [expected]
    words = " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
    if isinstance(value, dict | list) or value is None:
        return _quoted(value) or f"must be {words}, not {kind_of(value)}"
    return f"`{value}` must be {words}{did_you_mean(str(value), names)}"


def _known(key: str, sections: list[type[Section]]) -> str:
    """Say which key was meant, of the section itself or of one inside it; or which there are."""
    keys = list(dict.fromkeys(key for section in sections for key in keys_of(section)))
    inside = {inner: f"{parent}: {{{inner}: …}}" for parent, child in _children(sections) for inner in keys_of(child)}
    close = get_close_matches(key, keys, n=1, cutoff=0.8) or get_close_matches(key, [*keys, *inside], n=1)
    if close:
        return f"; did you mean `{close[0] if close[0] in keys else inside[close[0]]}`?"
    return f"; known are {', '.join(keys)}"


def _children(sections: list[type[Section]]) -> Iterator[tuple[str, type[Section]]]:
    for section in sections:
        for name, field in section.model_fields.items():
            yield from ((field.alias or name, child) for child in _inside(field.annotation))


def _sections(sections: list[type[Section]], steps: tuple[str | int, ...]) -> list[type[Section]]:
    """Return the sections that a pydantic location leads to: keys enter fields, other steps pick a union's member."""
    for step in steps:
        fields = [child for name, child in _children(sections) if name == step]
        chosen = [section for section in sections if _is_called(section, str(step))]
        sections = fields or chosen or sections
    return sections


def _is_called(section: type[Section], tag: str) -> bool:
    kind = section.model_fields.get("kind")
    return f"<{section.__name__}>" == tag or (kind is not None and tag in get_args(kind.annotation))


def _inside(annotation: Any) -> list[type[Section]]:
    """Return all sections in an annotation: alternatives, items of lists, values of mappings."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [section for argument in get_args(annotation) for section in _inside(argument)]
