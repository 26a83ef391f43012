"""What the documentation says is so: its examples load, its links lead somewhere, its commands exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import isclass
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

import pushgate.gateway  # noqa: F401 (and so everything: what there is of refusals)
from pushgate.config import Gateway, load, parse, warnings
from pushgate.config.pending import PENDING
from pushgate.config.reference import renewed
from pushgate.config.section import Section, keys_of
from pushgate.config.tree import Path as KeyPath
from pushgate.errors import ConfigError, Refusal
from pushgate.values import EventKind, State

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
CONFIGURATION, DELIVERY = ROOT / "docs" / "configuration.md", ROOT / "docs" / "delivery.md"

FENCE = re.compile(r"^(?:<!-- example: ([\w ]+) -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
MAKE = re.compile(r"`make (\w+)`|^make (\w+)", re.MULTILINE)
UNDEFINED = re.compile(r"\$\{(\w+)(?::\?[^}]*)?\}")
FILE = re.compile(r"(?:body_file|htpasswd): ([\w.]+)")

# What an example that is only a part of a file leaves out.
BACKEND = {"backend": {"url": "https://backend.example"}}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def examples(page: Path) -> list[tuple[int, str, str]]:
    """The YAML blocks of a page: the line of each, its remark (``<!-- example: … -->``) and its text."""
    text = page.read_text()
    return [
        (text[: block.start(3)].count("\n") + 1, block[1] or "", block[3])
        for block in FENCE.finditer(text)
        if block[2] == "yaml"
    ]


def completed(text: str) -> str:
    """Return a whole file with what the example shows: what it leaves out is what it does not talk about."""
    told = yaml.safe_load(text)
    rest: dict[str, Any] = {} if "version" in told else {"version": 1}
    if "upstreams" not in told:
        rest["upstreams"] = BACKEND
    if "routes" not in told:
        rest["routes"] = {"/example": {"upstream": next(iter(told.get("upstreams", BACKEND)))}}
    return f"{yaml.safe_dump(rest) if rest else ''}{text}"


def loaded(text: str, page: Path, folder: Path) -> Gateway:
    """Load an example as if its variables were set and the files that it names were there."""
    for file in FILE.findall(text):
        (folder / file).write_text("<Envelope/>")
    environ = dict.fromkeys(UNDEFINED.findall(text), 32 * "x")  # as long as a secret must be
    return parse(completed(text), file=name(page), environ=environ, base=folder)


def prose(page: Path) -> str:
    """The page without its code, in which brackets are no links and # is no heading."""
    return re.sub(r"`[^`\n]+`", "", FENCE.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """The names that headings get when the page is shown."""
    headings = HEADING.findall(FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links() -> list[tuple[Path, str]]:
    found = [(page, target) for page in PAGES for target in LINK.findall(prose(page))]
    return [(page, target) for page, target in found if "://" not in target and not target.startswith("mailto:")]


EXAMPLES = [
    pytest.param(page, remark, text, id=f"{name(page)}:{line}")
    for page in PAGES
    for line, remark, text in examples(page)
]


@pytest.mark.parametrize(("page", "remark", "text"), EXAMPLES)
def test_every_example_of_a_gateway_loads(page: Path, remark: str, text: str, tmp_path: Path) -> None:
    """Who copies one gets what works, without a warning, once its variables are set; or hears that it is not yet."""
    if remark == "not yet":
        with pytest.raises(ConfigError) as caught:
            loaded(text, page, tmp_path)
        assert all("not yet: " in problem.message for problem in caught.value.problems), str(caught.value)
    else:
        assert warnings(loaded(text, page, tmp_path)) == []


# Which keys there are, and which of them the examples have.


def sections(annotation: Any) -> Iterator[type[Section]]:
    """Yield the sections that a key may lead to."""
    if isclass(annotation) and issubclass(annotation, Section):
        yield annotation
    for argument in get_args(annotation):
        yield from sections(argument)


def keys_below(section: type[Section], path: KeyPath = ()) -> Iterator[tuple[type[Section], str, KeyPath]]:
    """Yield every key that a file may have: its section, its name and its path, in which ``*`` stands for a name."""
    yield from ((section, key, (*path, key)) for key in section.READ_BEFORE)
    for attribute, field in section.model_fields.items():
        key = field.alias or attribute
        yield section, key, (*path, key)
        is_named = str(field.annotation).startswith("dict[")
        for below in sections(field.annotation):
            yield from keys_below(below, (*path, key, "*") if is_named else (*path, key))


def written_keys(value: Any) -> Iterator[tuple[type[Section], str]]:
    """Yield every key that a file has, with its section; those of ``defaults:`` are in every route."""
    if isinstance(value, Section):
        for attribute in value.model_fields_set:
            yield type(value), type(value).model_fields[attribute].alias or attribute
            yield from written_keys(getattr(value, attribute))
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from written_keys(inner)


def test_every_key_has_an_example(tmp_path: Path) -> None:
    """Nobody has to guess how a key is written from its type alone."""
    shown: set[tuple[type[Section], str]] = set()
    for _, remark, text in examples(CONFIGURATION):
        # What is not there yet is understood all the same.
        if remark == "not yet":
            gateway = Gateway.model_validate(yaml.safe_load(text))
        else:
            gateway = loaded(text, CONFIGURATION, tmp_path)
        shown.update(written_keys(gateway))
        shown.update((Gateway, key) for key in Gateway.READ_BEFORE if key in yaml.safe_load(text))
    wanted = {*keys_below(Gateway)}
    assert len(wanted) > 150
    missing = sorted(".".join(map(str, path)) for section, key, path in wanted if (section, key) not in shown)
    assert missing == []


def test_every_key_has_a_row_in_the_tables() -> None:
    """And the tables are those of this release."""
    text = CONFIGURATION.read_text()
    assert renewed(text) == text, "run `python -m pushgate.config.reference docs/configuration.md`"
    rows = set(re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE))
    assert {key for section, _, _ in keys_below(Gateway) for key in keys_of(section)} <= rows


@pytest.mark.parametrize(("path", "value"), PENDING)
def test_what_does_nothing_yet_is_marked(path: KeyPath, value: str) -> None:
    """Where its keys are, so that nobody has to look for it in a list elsewhere."""
    tables = re.split(r"^### ", CONFIGURATION.read_text(), flags=re.MULTILINE)
    title = f"`{'.'.join(map(str, path[:-1]))}`, `{path[-1]}: {value}`\n"
    [table] = [table for table in tables if table.startswith(title)]
    assert "*Not yet.*" in table.partition("|")[0]


def refusals(kind: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    for below in kind.__subclasses__():
        yield below
        yield from refusals(below)


@pytest.mark.parametrize("refusal", [*refusals()], ids=lambda kind: kind.__name__)
def test_every_refusal_has_a_row(refusal: type[Refusal]) -> None:
    """With its status, its close code and its code: what a client's author has to handle."""
    rows = [line for line in DELIVERY.read_text().splitlines() if f"`{refusal.code}`" in line and line.startswith("| ")]
    assert any(str(refusal.status) in row for row in rows), f"{refusal.code} has no row in {name(DELIVERY)}"


@pytest.mark.parametrize("kind", get_args(EventKind))
def test_every_event_is_explained_to_clients(kind: str) -> None:
    assert f"`{kind}`" in DELIVERY.read_text()


@pytest.mark.parametrize("state", get_args(State))
def test_every_state_is_explained_to_clients(state: str) -> None:
    assert f"| `{state}` |" in DELIVERY.read_text()


def test_the_readme_shows_a_whole_gateway_of_25_lines() -> None:
    [text] = [text for _, _, text in examples(ROOT / "README.md") if "version: 1" in text]
    assert len(text.splitlines()) <= 25


def test_the_gateway_that_everybody_copies_loads() -> None:
    """Without any variable set, and with the ports of its three listeners changed."""
    assert warnings(load(ROOT / "gateway.yaml", environ={})) == []
    ports = {"PORT": "18080", "ADMIN_PORT": "18081", "LEGACY_PORT": "19000"}
    gateway = load(ROOT / "gateway.yaml", environ=ports)
    assert (gateway.server.listen.port, gateway.server.admin.listen.port) == (18080, 18081)
    assert gateway.upstreams["legacy"].url == "http://127.0.0.1:19000"


AUTH_EXAMPLES = sorted((ROOT / "examples" / "auth").glob("*.yaml"))


@pytest.mark.parametrize("path", AUTH_EXAMPLES, ids=lambda path: path.stem)
def test_every_gateway_that_asks_who_clients_are_loads(path: Path) -> None:
    """As it stands, without a warning: nobody copies a hole. Nobody has the keys and passwords in them, either."""
    assert warnings(load(path, environ={})) == []


def test_there_is_a_gateway_for_every_kind_of_credentials() -> None:
    kinds = {auth.kind for path in AUTH_EXAMPLES for auth in load(path, environ={}).auth.values()}
    assert kinds == {"jwt", "api_key", "basic", "forward"}


@pytest.mark.parametrize(
    ("page", "target"), [pytest.param(*link, id=f"{name(link[0])} to {link[1]}") for link in links()]
)
def test_every_link_leads_somewhere(page: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    destination = (page.parent / path).resolve() if path else page
    assert destination.exists(), f"{name(page)} links to {target}, which is not there"
    if anchor and destination.suffix == ".md":
        assert anchor in anchors(destination), f"{name(destination)} has no heading #{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_make_command_exists(page: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {first or second for first, second in MAKE.findall(page.read_text())}
    assert named <= targets


def test_the_readme_names_the_two_commands_on_its_first_screen() -> None:
    """With what it is, and when it is the wrong tool."""
    screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:40])
    for words in ("make run", "make test", "the states it saw", "wrong tool"):
        assert words in screen
