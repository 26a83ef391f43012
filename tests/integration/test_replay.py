"""``pushgate replay`` as a user runs it: on files of our own, and on recorded series of real APIs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pushgate.cli import app
from shared_data import shared

runner = CliRunner()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder without a gateway.yaml."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """A clock that always moves, a row that comes, an empty answer that is a lie, and a refused connection."""
    folder = tmp_path / "recorded"
    folder.mkdir()
    rows = [{"id": n, "text": f"row {n}"} for n in range(3)]
    answers = [rows, rows, [*rows, {"id": 9, "text": "new"}], [], [*rows, {"id": 9, "text": "new"}]]
    index = ["n,file,observed_utc"]
    for number, answer in enumerate(answers, start=1):
        document = {"now": f"2026-01-01T00:0{number}:00Z", "rows": answer}
        (folder / f"{number:04}.json").write_text(json.dumps(document))
        index.append(f"{number},{number:04}.json,2026-01-01T00:0{number}:01Z")
    (folder / "index.csv").write_text("\n".join(index))
    (folder / "0006.json").write_text("")
    (folder / "0006.meta.json").write_text(
        json.dumps({"status": 0, "t": 1767225966.0, "headers": {"error": "refused"}})
    )
    return folder


def replay(*arguments: str | Path, stdin: str | None = None) -> tuple[int, str]:
    result = runner.invoke(app, ["replay", *map(str, arguments)], input=stdin)
    return result.exit_code, result.output


def replayed(*arguments: str | Path, stdin: str | None = None) -> dict[str, Any]:
    status, out = replay(*arguments, "--output", "json", stdin=stdin)
    assert status == 0, out
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_series_is_reported_as_a_table(series: Path) -> None:
    """Counts, bytes by mode, and what to do about false changes."""
    status, out = replay(series, "--set", "key={/rows: id}")
    assert status == 0
    words = [" ".join(line.split()) for line in out.splitlines()]
    assert words[0] == '6 answers through a route of its own (key: {"/rows": "id"})'
    assert "polls 6" in words and "changes 4" in words
    assert "of them false 3 1 nothing but noise, 2 undone by the next poll, or undoing" in words
    assert "failed 1 1 connect" in words
    assert "connect: poll 6: refused" in words
    assert any(line.startswith("polled: every body") and line.endswith("100.0%") for line in words)
    assert any(line.startswith("pushed as patch") for line in words)
    assert "/now: 3 times" in words
    assert "ignore: [/now] # is the time of the answer" in words


def test_what_it_advises_helps(series: Path) -> None:
    """With the clock ignored and the rows as the document, the empty list is held and dropped."""
    told = replayed(series, "--ignore", "/now", "--select", "rows", "--key", "id", "--set", "emit=[items]")
    assert (told["polls"], told["changes"], told["false_changes"]) == (6, 1, {"noise": 0, "flaps": 0, "pointers": {}})
    assert told["unchanged"] == {"the same document": 2}
    held = told["held"][0]
    assert (held["file"], held["guard"], held["fate"]) == ("0004.json", "empty", "dropped")
    assert told["failed"] == {"connect": {"count": 1, "polls": [6], "detail": "refused"}}
    assert told["bytes"]["items"]["events"] == {"snapshot": 1, "items": 1}
    assert told["bytes"]["items"]["bytes"] < told["bytes"]["short_poll_with_etag"] < told["bytes"]["polled"]


def test_a_route_of_a_file(series: Path, tmp_path: Path) -> None:
    """The only one, or the one that is named; from a file, from the usual one, or from standard input."""
    one = {"upstream": "u", "ignore": ["/now"]}
    config: dict[str, Any] = {"version": 1, "upstreams": {"u": {"url": "http://u"}}, "routes": {"/a": one}}
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(config))
    assert replayed(series)["changes"] == 3
    assert replayed(series, "-c", "-", stdin=json.dumps(config))["changes"] == 3
    config["routes"]["/b"] = {"upstream": "u"}
    file.write_text(json.dumps(config))
    assert replayed(series, "--route", "/b")["changes"] == 4
    status, out = replay(series, "-c", file)
    assert status == 2 and "say which: /a, /b" in out
    status, out = replay(series, "--route", "/aa")
    assert status == 2 and "did you mean `/a`?" in out
    assert replayed(series, "--set", "ignore=[/now]")["changes"] == 3


def test_files_are_taken_as_they_come(series: Path) -> None:
    """A folder's descriptions are no answers, also where a shell lists them."""
    assert replayed(*sorted(series.iterdir()))["polls"] == 6
    assert replayed(series / "0001.json", series / "0003.json")["polls"] == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is no nowhere"),
        (["."], "holds no recorded answers"),
        (["recorded", "--ignore", "now"], "`now`"),
        (["recorded", "--set", "keys=id"], "keys: unknown key"),
        (["recorded", "--set", "key"], "write it like"),
        (["recorded", "--key", "id", "--route", "/a"], "`key` is for a route without a file"),
        (["recorded", "--set", "pages={next: link_header}"], "has `pages`"),
    ],
)
def test_a_wrong_command_line_exits_2(arguments: list[str], words: str, series: Path) -> None:
    status, out = replay(*arguments)
    assert status == 2
    assert words in " ".join(out.replace("│", " ").split())


@pytest.mark.parametrize("text", [b"{", b"[1]", b"\xff\xfe", b'{"status": "fine"}', b'{"headers": ["Date: now"]}'])
def test_a_description_that_is_none_is_named(series: Path, text: bytes) -> None:
    (series / "0002.meta.json").write_bytes(text)
    status, out = replay(series)
    assert status == 2 and "0002.meta.json" in out


def test_a_view_is_replayed_with_its_parent(series: Path, tmp_path: Path) -> None:
    routes = {"/a": {"upstream": "u"}, "/a/rows": {"from": "/a", "pointer": "/rows"}}
    config = {"version": 1, "upstreams": {"u": {"url": "http://u"}}, "routes": routes}
    (tmp_path / "gateway.yaml").write_text(json.dumps(config))
    status, out = replay(series, "--route", "/a/rows")
    assert status == 2 and "replay /a, which polls" in " ".join(out.split())


def test_a_series_without_a_document_exits_1(series: Path) -> None:
    status, out = replay(series, "--select", "nothing")
    assert status == 1
    assert "select: polls 1-5: select found nothing: nothing" in out


# Recorded series of real APIs, which are not part of the project.


def test_earthquakes_cost_a_twentieth() -> None:
    """With the clock ignored and the items keyed; nothing is false, held or compared by index."""
    told = replayed(shared("realdata/usgs_quakes"), "--ignore", "/metadata/generated", "--key", "id")
    assert (told["polls"], told["changes"], told["held"], told["failed"]) == (200, 199, [], {})
    assert told["false_changes"] == {"noise": 0, "flaps": 0, "pointers": {}}
    assert (told["keyless_arrays"], told["patches_rejected"], told["suggestions"]) == ({}, 0, [])
    assert told["bytes"]["patch"]["bytes"] < told["bytes"]["polled"] * 0.06


def test_timestamps_that_say_nothing_are_named() -> None:
    """Of 199 changes 88 were nothing but the time: of the answer, or of an update that changed nothing."""
    folder = shared("realdata/energex_summary")
    told = replayed(folder)
    assert told["false_changes"]["noise"] == 88
    advice = {one["pointer"]: one["key"] for one in told["suggestions"]}
    assert advice == {
        "/data/requestTimestamp": "ignore", "/data/lastUpdated": "quiet", "/data/secondsSinceEpoch": "quiet",
    }  # fmt: skip
    quiet = "quiet={/data/lastUpdated: any, /data/secondsSinceEpoch: any}"
    better = replayed(folder, "--ignore", "/data/requestTimestamp", "--set", quiet)
    assert better["false_changes"]["noise"] == 0
    assert better["changes"] == told["changes"] - 88


def test_a_server_that_was_gone_is_a_failure_and_no_change() -> None:
    """nginx stopped at poll 9, and came back."""
    told = replayed(shared("realdata/live_nginx_stub"))
    refused = told["failed"]["connect"]
    assert (refused["polls"][0], told["failed"].keys()) == (9, {"connect"})
    assert told["polls"] == 25
    assert told["changes"] + sum(told["unchanged"].values()) + refused["count"] + 1 == 25


@pytest.mark.parametrize(
    ("name", "options", "mode", "share"),
    [
        ("hn_submissions", ["--key", "id"], "patch", 0.02),
        ("pge_outages", ["--key", "F_OUTAGE_ID"], "patch", 0.3),
        ("ecobici_gbfs", ["--key", "station_id", "--ignore", "/last_updated"], "patch", 0.85),
        (
            "live_haproxy_csv",
            ["--format", '{kind: csv, header_prefix: "# "}', "--key", "[pxname, svname]"],
            "patch",
            0.6,
        ),
        ("cafires_incidents", ["--set", "key={/Incidents: UniqueId}"], "patch", 0.6),
    ],
)
def test_what_other_series_cost(name: str, options: list[str], mode: str, share: float) -> None:
    """Each patch is proven, and all together cost a part of what is polled."""
    told = replayed(shared(f"realdata/{name}"), *options)
    assert told["patches_rejected"] == 0
    assert told["changes"] > 10
    assert told["bytes"][mode]["bytes"] < told["bytes"]["polled"] * share


def test_what_pushing_makes_larger_is_said() -> None:
    """A CSV of which every row changes names its columns in every row once it is JSON."""
    status, out = replay(shared("realdata/nyc_modzcta_csv"), "--format", "csv", "--key", "MODIFIED_ZCTA")
    assert status == 0
    assert "as JSON this is larger than what the upstream sends" in out
