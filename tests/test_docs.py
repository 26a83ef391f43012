"""What the documentation says is so: its examples load, its links lead somewhere, its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pushgate.config import load, parse, warnings

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
MAKE = re.compile(r"`make (\w+)`|^make (\w+)", re.MULTILINE)
UNDEFINED = re.compile(r"\$\{(\w+)(?::\?[^}]*)?\}")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def gateways(page: Path) -> list[tuple[int, str]]:
    """The YAML blocks of a page that are a whole gateway.yaml, each with its line."""
    text = page.read_text()
    return [
        (text[: block.start()].count("\n") + 1, block[2])
        for block in FENCE.finditer(text)
        if block[1] == "yaml" and re.search(r"^version:", block[2], re.MULTILINE)
    ]


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


EXAMPLES = [pytest.param(page, text, id=f"{name(page)}:{line}") for page in PAGES for line, text in gateways(page)]


@pytest.mark.parametrize(("page", "text"), EXAMPLES)
def test_every_whole_gateway_in_the_docs_loads(page: Path, text: str) -> None:
    """Who copies an example gets one that works, without a warning, once its variables are set."""
    environ = dict.fromkeys(UNDEFINED.findall(text), "x")
    gateway = parse(text, file=name(page), environ=environ, base=page.parent)
    assert warnings(gateway) == []


def test_the_readme_shows_a_whole_gateway_of_25_lines() -> None:
    [(_, text)] = gateways(ROOT / "README.md")
    assert len(text.splitlines()) <= 25


def test_the_gateway_that_everybody_copies_loads() -> None:
    """Without any variable set, and with the ports of its three listeners changed."""
    assert warnings(load(ROOT / "gateway.yaml", environ={})) == []
    ports = {"PORT": "18080", "ADMIN_PORT": "18081", "LEGACY_PORT": "19000"}
    gateway = load(ROOT / "gateway.yaml", environ=ports)
    assert (gateway.server.listen.port, gateway.server.admin.listen.port) == (18080, 18081)
    assert gateway.upstreams["legacy"].url == "http://127.0.0.1:19000"


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
