"""The reading order of the package is its import order, and no file or function outgrows a reader."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "pushgate"

# Each module may import only the modules above it. Inside a package, only what stands above it in PARTS or beside it.
PURE = [
    "errors",
    "packing",
    "values",
    "correlation",
    "quantities",
    "naming",
    "escaping",
    "documents",
    "schedules",
    "happenings",
    "timetable",
    "condition",
    "topic",
    "answers",
    "ledger",
    "freshness",
    "wire",
    "budgeting",
    "admission",
    "pauses",
    "config",
    "paging",
    "batching",
    "gathering",
    "refinery",
    "asking",
    "identity",
    "peers",
    "rations",
    "writes",
    "readings",
    "places",
    "forwarding",
    "routes",
    "views",
    "workbench",
    "reception",
    "negotiation",
    "misreadings",
    "sets",
    "wishes",
    "wheel",
    "generation",
    "tides",
    "repetition",
    "tools",
]
SHELL = [
    "clock",
    "tracing",
    "alarms",
    "footprint",
    "exposition",
    "metrics",
    "logs",
    "vitals",
    "heap",
    "auth",
    "leases",
    "store",
    "poller",
    "polling",
    "feed",
    "subscriber",
    "wave",
    "voice",
    "channel",
    "polled",
    "viewing",
    "hub",
    "departures",
    "succession",
    "standstill",
    "adapters",
    "changeover",
    "reload",
    "switchboard",
    "gateway",
    "healthcheck",
    "cli",
]
ORDER = ["__init__", *PURE, *SHELL, "__main__"]

# The same inside the packages that are read from top to bottom.
INSIDE = {
    "documents": [
        *("equality", "patching", "pointers", "keys", "alignment", "diffing", "quieting", "ordering", "guarding"),
        *("selecting", "changes", "cursors", "history"),
    ],
    "schedules": [
        "localtimes",
        "activehours",
        "scheduling",
        "crontimes",
        "rates",
        "beats",
        "rhythm",
        "hints",
        "adapting",
    ],
    "tools": [
        *("planning", "probing", "narration", "retelling", "redaction", "recordings", "tracing"),
        *("falsity", "replaying", "following"),
    ],
}

# Pure modules know neither the network nor the time nor chance.
BANNED_IN_PURE = {"asyncio", "aiohttp", "websockets", "prometheus_client", "socket", "time", "random", "logging"}
CLOCK_ONLY = {"time", "random", "secrets"}

# Named exceptions to the sizes, each with its reason.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_NESTING = 300, 40, 3


def modules() -> list[Path]:
    return sorted(SRC.rglob("*.py"))


def place(path: Path) -> str:
    """The first part of a module's path: its place in ORDER."""
    return path.relative_to(SRC).parts[0].removesuffix(".py")


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text())))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every import of the file as (relative level, module)."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.level, node.module
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.level, alias.name) for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SRC)))
def test_a_module_imports_only_what_stands_above_it(path: Path) -> None:
    """Who reads the package from the top never meets a name that was not explained before."""
    depth = len(path.relative_to(SRC).parts)
    for level, module in imports(path):
        assert not module.startswith("pushgate"), f"{path}: use relative imports"
        if level == depth and module != "__version__":
            target = module.split(".")[0]
            assert ORDER.index(target) < ORDER.index(place(path)), f"{path.name} imports {target}"


@pytest.mark.parametrize("package", INSIDE)
def test_a_package_reads_top_to_bottom_too(package: str) -> None:
    """What is listed imports what is listed above it; what makes one of them a folder is its own."""
    order = INSIDE[package]
    found = {path.relative_to(SRC / package).parts[0].removesuffix(".py") for path in (SRC / package).rglob("*.py")}
    assert found - {"__init__"} == set(order)
    for path in (SRC / package).rglob("*.py"):
        parts = path.relative_to(SRC / package).parts
        for level, module in imports(path):
            target = module.split(".")[0]
            if level == len(parts) and parts[0] != "__init__.py":
                own = parts[0].removesuffix(".py")
                assert order.index(target) < order.index(own), f"{package}/{path.name} imports {target}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SRC)))
def test_pure_modules_are_pure(path: Path) -> None:
    """Whoever decides neither waits, nor looks at the clock, nor rolls dice; only clock.py does the last two."""
    top = {module.split(".")[0] for level, module in imports(path) if level == 0}
    if place(path) in PURE:
        assert not top & BANNED_IN_PURE, f"{path.name} imports {top & BANNED_IN_PURE}"
        awaits = [node for node in nodes(path) if isinstance(node, ast.AsyncFunctionDef)]
        assert not awaits, f"{path.name} has async functions"
    elif place(path) != "clock":
        assert not top & CLOCK_ONLY, f"{path.name} imports {top & CLOCK_ONLY}"


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring, from its ``def`` on."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def nesting(node: ast.AST, depth: int = 0) -> int:
    """How deep blocks are nested; an ``elif`` and a ``case`` count as their ``if`` and ``match``."""
    deepest = depth
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            is_elif = isinstance(node, ast.If) and field == "orelse" and isinstance(child, ast.If)
            block = isinstance(child, ast.If | ast.For | ast.While | ast.Try | ast.With | ast.Match | ast.AsyncFor)
            block = block or isinstance(child, ast.AsyncWith)
            deepest = max(deepest, nesting(child, depth + (block and not is_elif)))
    return deepest


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SRC)))
def test_no_file_or_function_outgrows_its_reader(path: Path) -> None:
    """300 lines a file, 40 a function, blocks three deep; exceptions are named above with their reason."""
    name = str(path.relative_to(SRC))
    lines = len(path.read_text().splitlines())
    assert lines <= MAX_FILE_LINES or name in LONG_FILES, f"{name} has {lines} lines"
    for function in functions(path):
        where = f"{name}:{function.name}"
        assert body_lines(function) <= MAX_FUNCTION_LINES or where in LONG_FUNCTIONS, f"{where}: {body_lines(function)}"
        assert nesting(function) <= MAX_NESTING, f"{where} is nested {nesting(function)} deep"


def test_the_order_names_exactly_what_exists() -> None:
    """A module that was removed leaves the list, and a new one enters it where a reader needs it."""
    assert {place(path) for path in modules()} <= set(ORDER)
