"""The example backend is honest: what it says about its answers is true, and it only speaks when it is asked."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import httpx
import pytest

LEGACY = Path(__file__).parents[2] / "examples" / "legacy"
RECORDED = [b'{"n": 1}', b'{"n": 2}', b'{"n": 2}', b'{"n": 3}']


def load_resources() -> ModuleType:
    spec = spec_from_file_location("legacy_resources", LEGACY / "resources.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


resources = load_resources()


@contextmanager
def process(*options: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The backend as a process on a free port, and its URL."""
    command = [sys.executable, LEGACY, "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as backend:
        assert backend.stdout is not None
        try:
            yield backend, backend.stdout.readline().split()[-1]
        finally:
            backend.kill()


@contextmanager
def client(*options: str | Path) -> Iterator[httpx.Client]:
    """A client of the backend."""
    with process(*options) as (_, url), httpx.Client(base_url=url, timeout=10) as requests:
        yield requests


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A series of four answers, of which the third is as the second."""
    for number, body in enumerate(RECORDED, start=1):
        (tmp_path / f"{number:04}.json").write_bytes(body)
    (tmp_path / "meta.json").write_text("{}")
    (tmp_path / "index.csv").write_text("n,t\n")
    return tmp_path


def bodies(backend: httpx.Client, count: int, **headers: str) -> list[bytes]:
    return [backend.get("/", headers=headers).content for _ in range(count)]


class TestResources:
    def test_the_same_moment_of_the_same_world_is_always_the_same(self) -> None:
        """A restart, or a second copy, tells the same story; another seed tells another one."""
        assert resources.departures(61.5, seed=1) == resources.departures(61.5, seed=1)
        assert resources.departures(61.5, seed=1) != resources.departures(61.5, seed=2)
        assert resources.report(resources.sales(99, seed=3)) == resources.report(resources.sales(99, seed=3))

    def test_departures_come_change_move_and_go(self) -> None:
        """Within a few minutes the list does everything that a keyed list can do."""
        seen = [resources.departures(at, seed=1) for at in range(0, 300, 2)]
        ids = [[row["id"] for row in rows] for rows in seen]
        pairs = list(pairwise(ids))
        assert any(set(new) - set(old) for old, new in pairs), "none came"
        assert any(set(old) - set(new) for old, new in pairs), "none went"
        assert any(sorted(old) == sorted(new) and old != new for old, new in pairs), "none moved"
        assert all(len(set(row)) == len(row) for row in ids), "an id is there twice"
        changed = sum(old != new for old, new in pairwise(seen))
        assert changed > len(pairs) / 2

    def test_what_happened_to_a_departure_is_not_forgotten(self) -> None:
        """A delay never shrinks while the departure is on the board."""
        expected: dict[object, str] = {}
        for at in range(0, 1200, 2):
            for row in resources.departures(at, seed=5):
                assert row["expected"] >= expected.get(row["id"], ""), row
                expected[row["id"]] = str(row["expected"])

    def test_a_quote_is_new_every_second(self) -> None:
        quotes = [resources.quote("ACME", at, currency="EUR", seed=1) for at in range(60)]
        assert all(old != new for old, new in pairwise(quotes))
        assert all(quote["bid"] < quote["ask"] for quote in quotes)

    def test_the_report_only_grows_about_every_ten_seconds(self) -> None:
        reports = [resources.report(resources.sales(at, seed=1)) for at in range(600)]
        assert all(new.startswith(old) for old, new in pairwise(reports))
        assert len(set(reports)) in range(58, 63)

    def test_the_status_differs_only_in_its_timestamp_within_five_seconds(self) -> None:
        first, later, next_period = (resources.status(at, seed=1) for at in (10.0, 14.9, 15.0))
        assert first != later
        assert first.splitlines()[2:] == later.splitlines()[2:] != next_period.splitlines()[2:]


class TestServer:
    def test_a_not_modified_answer_is_true(self) -> None:
        """The ETag is that of the bytes: 304 to it, 200 to any other one, and weakly compared as the RFC says."""
        with client("--speed", "0.001") as backend:
            answer = backend.get("/api/departures")
            etag = answer.headers["ETag"]
            again = backend.get("/api/departures", headers={"If-None-Match": etag})
            assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
            assert backend.get("/api/departures", headers={"If-None-Match": f'"x", W/{etag}'}).status_code == 304
            assert backend.get("/api/departures", headers={"If-None-Match": '"x"'}).status_code == 200

    def test_the_report_has_the_date_of_its_last_row(self) -> None:
        with client("--speed", "0.001") as backend:
            date = backend.get("/reports/daily.csv").headers["Last-Modified"]
            assert backend.get("/reports/daily.csv", headers={"If-Modified-Since": date}).status_code == 304
            earlier = "Sun, 04 Jan 2026 00:00:00 GMT"
            assert backend.get("/reports/daily.csv", headers={"If-Modified-Since": earlier}).status_code == 200
            both = {"If-Modified-Since": date, "If-None-Match": '"x"'}
            assert backend.get("/reports/daily.csv", headers=both).status_code == 200

    def test_what_has_no_validator_claims_none(self) -> None:
        with client() as backend:
            for path in ("/api/board", "/api/quotes/ACME", "/status.xml"):
                answer = backend.get(path)
                assert answer.status_code == 200
                assert not {"etag", "last-modified"} & set(answer.headers)

    def test_unknown_things_are_refused(self) -> None:
        with client() as backend:
            assert backend.get("/api/quotes/NOBODY").status_code == 404
            assert backend.get("/api/quotes/ACME?currency=XXX").status_code == 400
            assert backend.get("/api/quotes/ACME?currency=GBP").json()["currency"] == "GBP"
            assert backend.post("/api/departures").status_code == 405

    def test_it_counts_who_asked_for_what(self) -> None:
        with client() as backend:
            for path in ("/api/board", "/api/board", "/status.xml", "/nothing", "/-/requests"):
                backend.get(path)
            assert backend.get("/-/requests").json() == {"/api/board": 2, "/status.xml": 1, "/nothing": 1}

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_it_ends_when_it_is_told_to(self, number: signal.Signals) -> None:
        """Even with a connection open, and without a word."""
        with process() as (backend, url), httpx.Client(base_url=url) as requests:
            requests.get("/api/departures")
            backend.send_signal(number)
            _, errors = backend.communicate(timeout=10)
            assert (backend.returncode, errors) == (0, "")

    def test_a_taken_port_is_one_clear_line(self) -> None:
        with process() as (_, url):
            command = [sys.executable, LEGACY, "--port", url.rsplit(":", 1)[1]]
            second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
            assert second.returncode == 1
            assert second.stderr.startswith("legacy: cannot listen on 127.0.0.1:") and second.stderr.count("\n") == 1


class TestReplay:
    def test_every_poll_gets_the_next_answer_and_then_the_last(self, recording: Path) -> None:
        """No poller misses one, however slow it is; the control tells how far it has come."""
        with client("--replay", recording) as backend:
            assert backend.get("/-/step").json() == {"step": 0, "of": 4}
            assert bodies(backend, 2) == RECORDED[:2]
            assert backend.head("/").status_code == 200
            assert backend.get("/-/step").json() == {"step": 2, "of": 4}
            assert bodies(backend, 4) == [*RECORDED[2:], RECORDED[-1], RECORDED[-1]]
            assert backend.get("/any/path").json() == {"n": 3}

    def test_manual_steps_are_taken_by_post(self, recording: Path) -> None:
        with client("--replay", recording, "--step", "manual") as backend:
            assert bodies(backend, 2) == [RECORDED[0]] * 2
            assert backend.post("/-/step").json() == {"step": 2, "of": 4}
            assert bodies(backend, 2) == [RECORDED[1]] * 2
            assert [backend.post("/-/step").json()["step"] for _ in range(4)] == [3, 4, 4, 4]

    def test_steps_by_time_need_no_poll(self, recording: Path) -> None:
        with client("--replay", recording, "--step", "0.001") as backend:
            while backend.get("/-/step").json()["step"] < 4:
                pass  # bounded by the test's own timeout
            assert backend.get("/").content == RECORDED[-1]

    @pytest.mark.parametrize(("mode", "prefix"), [("strong", '"'), ("weak", 'W/"')])
    def test_a_true_etag_says_not_modified_for_the_same_bytes_only(
        self, recording: Path, mode: str, prefix: str
    ) -> None:
        with client("--replay", recording, "--etag", mode) as backend:
            etag, statuses = "", []
            for _ in RECORDED:
                answer = backend.get("/", headers={"If-None-Match": etag} if etag else {})
                etag = answer.headers["ETag"]
                assert etag.startswith(prefix)
                statuses.append(answer.status_code)
            assert statuses == [200, 200, 304, 200]

    def test_a_lying_etag_says_not_modified_to_everything(self, recording: Path) -> None:
        with client("--replay", recording, "--etag", "lying") as backend:
            tags = {backend.get("/").headers["ETag"] for _ in range(2)}
            assert len(tags) == 1
            assert backend.get("/", headers={"If-None-Match": tags.pop()}).status_code == 304

    def test_without_etag_there_is_never_a_304(self, recording: Path) -> None:
        with client("--replay", recording, "--etag", "none") as backend:
            assert "etag" not in backend.get("/").headers
            assert bodies(backend, 3, **{"If-None-Match": "*"}) == RECORDED[1:]

    def test_recorded_status_and_headers_are_kept_and_status_0_is_a_dropped_connection(self, recording: Path) -> None:
        said = {"status": 503, "headers": {"Retry-After": "7", "Content-Type": "text/plain", "Content-Length": "99"}}
        (recording / "0001.meta.json").write_text(json.dumps(said))
        (recording / "0002.meta.json").write_text(json.dumps({"status": 0, "headers": {"error": "refused"}}))
        with client("--replay", recording) as backend:
            down = backend.get("/")
            assert (down.status_code, down.content, down.headers["Retry-After"]) == (503, RECORDED[0], "7")
            assert down.headers["Content-Type"] == "text/plain"
            with pytest.raises(httpx.RemoteProtocolError):
                backend.get("/")
            assert backend.get("/").content == RECORDED[2]

    def test_dropping_a_connection_is_no_trouble_for_itself(self, recording: Path) -> None:
        (recording / "0001.meta.json").write_text(json.dumps({"status": 0}))
        with process("--replay", recording) as (backend, url):
            with pytest.raises(httpx.RemoteProtocolError):
                httpx.get(url)
            backend.terminate()
            _, errors = backend.communicate(timeout=10)
            assert errors == ""

    def test_an_empty_folder_is_one_clear_line(self, tmp_path: Path) -> None:
        command = [sys.executable, LEGACY, "--port", "0", "--replay", tmp_path]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert refused.returncode == 1
        assert "no recorded answers" in refused.stderr and refused.stderr.count("\n") == 1
