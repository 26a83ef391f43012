"""
What ``pushgate probe`` infers from recorded series of real APIs: their keys, their clocks, a file that loads.

The recordings are not part of the project: they are looked for in a folder beside it.
"""

from __future__ import annotations

import csv
import json
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from pushgate.answers import NO_VALIDATORS, Answer
from pushgate.cli.probe import decoder
from pushgate.config import parse
from pushgate.tools.probing import Asked, Report, Sample, infer, write
from shared_data import shared

pytest.importorskip("lxml", reason="XML and HTML need pushgate[formats]")
pytest.importorskip("selectolax", reason="XML and HTML need pushgate[formats]")

TYPES = {
    "json": "application/json",
    "csv": "text/csv",
    "txt": "text/plain",
    "kml": "application/vnd.google-earth.kml+xml",
    "html": "text/html",
}
XML_RPC = "/methodResponse/params/param/value/array/data/value/*/struct/member"

# Of each series: its format, its key, and what is no news.
EXPECTED: dict[str, tuple[str, Any, list[str] | None]] = {
    "usgs_quakes": ("json", "id", ["/metadata/generated"]),
    "pge_outages": ("json", "F_OUTAGE_ID", None),
    "ausgrid_unplanned": ("json", "WebId", None),
    "ns_load": ("json", "Key", ["/Time"]),
    "energex_summary": ("json", None, ["/data/requestTimestamp"]),
    "fpl_counties": ("json", "County Name", None),
    "hn_submissions": ("json", "id", None),
    "cafires_incidents": ("json", "UniqueId", None),
    "ecobici_gbfs": ("json", "station_id", ["/last_updated"]),
    "nyc_modzcta_csv": ("csv", "MODIFIED_ZCTA", None),
    "tor_exits_txt": ("text", None, None),
    "essential_kml": ("xml", "@id", None),
    "apfc_html": ("html", None, None),
    "live_haproxy_csv": ("csv", ["pxname", "svname"], ["/3/lastchg"]),
    "live_haproxy_json": ("json", None, None),
    "live_monit_xml": ("xml", "name", ["/monit/server/uptime"]),
    "live_nginx_stub": ("text", None, None),
    "live_apache_auto": ("text", "name", ["/3/value"]),
    "live_supervisor_xmlrpc": ("xml", "name", [f"{XML_RPC}/4/value/int"]),
    "live_aria2_jsonrpc": ("json", None, None),
}


def samples_of(folder: Path) -> list[Sample]:
    meta = json.loads((folder / "meta.json").read_text())
    files = sorted(file for file in folder.glob(f"[0-9]*.{meta['ext']}") if not file.name.endswith(".meta.json"))
    if (folder / "index.csv").exists():
        with (folder / "index.csv").open() as lines:
            times = {row["file"]: row["observed_utc"] for row in csv.DictReader(lines)}
        return [_observed(file, times[file.name], TYPES[meta["ext"]]) for file in files]
    return [sample for file in files if (sample := _recorded(file)) is not None]


def _observed(file: Path, when: str, content_type: str) -> Sample:
    at = datetime.fromisoformat(when).timestamp()
    return Sample(Answer(200, content_type, file.read_bytes(), NO_VALIDATORS, at), 0.1)


def _recorded(file: Path) -> Sample | None:
    """A poll with its header fields; None if the connection was refused."""
    meta = json.loads(file.with_suffix(".meta.json").read_text())
    if meta["status"] == 0:
        return None
    headers = {name.lower(): value for name, value in meta["headers"].items()}
    modified = headers.get("last-modified")
    answer = Answer(
        meta["status"],
        headers.get("content-type", ""),
        file.read_bytes(),
        NO_VALIDATORS if modified is None else type(NO_VALIDATORS)(last_modified=modified),
        meta["t"],
        modified_at=None if modified is None else parsedate_to_datetime(modified).timestamp(),
    )
    return Sample(answer, 0.01)


def report_of(name: str) -> Report:
    return infer(samples_of(shared(f"realdata/{name}")), decoder())


def load(name: str, report: Report) -> Any:
    text = write(Asked(f"https://recorded.example/{name}"), report)
    return parse(text, file="gateway.yaml", environ={}, base=Path()).routes[f"/{name}"]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_key_and_the_noise_of_a_real_series_are_found(name: str) -> None:
    """As its own description says; and what is printed loads."""
    form, key, ignore = EXPECTED[name]
    report = report_of(name)
    route = load(name, report)
    assert (route.format.kind, report.value("key"), report.value("ignore")) == (form, key, ignore)


def test_a_backend_whose_clock_is_all_that_changes_is_quiet() -> None:
    """BIND says another current-time at each poll, and a Last-Modified that is always now: neither is news."""
    report = report_of("live_bind_xml")
    assert report.value("ignore") == ["/statistics/server/current-time"]
    assert report.changes == 0
    assert "Last-Modified is always the time of the answer, and so useless" in report.notes
    load("live_bind_xml", report)


def test_the_saving_is_that_of_keyed_patches() -> None:
    """Earthquakes: what would be pushed is a tenth of what is polled at most."""
    report = report_of("usgs_quakes")
    assert report.pushed_bytes < report.polled_bytes / 10


def test_a_table_that_calls_itself_text_is_found_out() -> None:
    """HAProxy's CSV is sent as text/plain, and its header begins with `# `."""
    report = report_of("live_haproxy_csv")
    assert report.value("format") == {"kind": "csv", "header_prefix": "# "}
    assert any("the Content-Type is wrong: text/plain" in finding.reason for finding in report.findings)
