"""gateway.yaml as it is read: what is refused and where, what is in force, and how the text becomes values."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pushgate import config
from pushgate.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"
ENVIRON = {"SECRET": "s3cr3t-value", "EVIL": "{every: 1s}"}

MINIMAL = "version: 1\nupstreams: {bikes: {url: 'https://bikes.example'}}\nroutes: {/stations: {upstream: bikes}}\n"


def parse(text: str, **environ: str) -> config.Gateway:
    return config.parse(text, file="gateway.yaml", environ=environ, base=Path("/"))


def route(text: str, **environ: str) -> config.Route:
    """Return the route /stations with more keys, written in flow style."""
    more = MINIMAL.replace("upstream: bikes}", f"upstream: bikes, {text}}}")
    return parse(more, **environ).routes["/stations"]


def problems(text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, **environ)
    return [f"{problem.line}:{problem.column}: {problem.message}" for problem in caught.value.problems]


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("bad/*.yaml")), ids=lambda path: path.stem)
def test_every_mistake_has_its_message(path: Path) -> None:
    """Each file under tests/configs/bad begins with exactly what `pushgate check` says about it."""
    expected = re.findall(r"^# error: (.*)$", path.read_text(), re.MULTILINE)
    assert expected, "the first line says what is wrong"
    with pytest.raises(ConfigError) as caught:
        config.load(path, environ=ENVIRON)
    assert str(caught.value).splitlines() == [f"{path}:{line}" for line in expected]


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("good/*.yaml")), ids=lambda path: path.stem)
def test_what_is_in_force_can_be_read_again(path: Path) -> None:
    """The output of `pushgate config` is a gateway.yaml that says the same."""
    gateway = config.load(path, environ={})
    again = parse(config.to_yaml(gateway))
    assert config.effective(again) == config.effective(gateway)


def test_the_least_that_works_has_safe_defaults() -> None:
    """An upstream's URL and a route's upstream are all that must be said."""
    gateway = parse(MINIMAL)
    stations = gateway.routes["/stations"]
    assert (gateway.server.listen.host, gateway.server.listen.port) == ("0.0.0.0", 8080)
    assert (gateway.server.admin.listen.host, gateway.server.heartbeat) == ("127.0.0.1", 15)
    assert (stations.poll.every, stations.poll.jitter, stations.poll.linger) == (10, 0.1, 30)
    assert (stations.poll.while_, stations.stale.after, stations.stale.expire) == ("subscribed", 2, None)
    assert stations.emit == ("patch", "snapshot")
    assert stations.transports == ("short_poll", "long_poll", "sse", "websocket")
    assert (stations.history.events, stations.history.bytes, stations.history.age) == (1000, 8_000_000, 3600)
    assert (gateway.upstreams["bikes"].timeout.total, gateway.upstreams["bikes"].max_body) == (10, 10_000_000)


def test_everything_so_far_arrives_as_written() -> None:
    gateway = config.load(CONFIGS / "good" / "everything_so_far.yaml", environ={})
    stations = gateway.routes["/stations/{city}"]
    assert str(gateway.server.listen) == "[::1]:8080"
    assert gateway.server.cors.max_age == 90
    assert stations.params == {"city": ("paris", "lyon")}
    assert stations.query["_"] == "drop"
    page = stations.query["page"]
    assert page != "drop"
    assert (page.as_, page.pattern, page.default) == ("p", "[0-9]+", "1")
    assert stations.on_status == {404: "gone", 410: "gone", 204: "keep", 503: "fail"}
    assert stations.poll.jitter == 0.025
    assert (stations.format.kind, stations.key) == ("json", "id")


def test_listed_parameters_combine_into_the_topics_that_are_always_polled() -> None:
    """`while: always` polls all combinations of listed values, or the topics it names."""
    everything = config.load(CONFIGS / "good" / "everything_so_far.yaml", environ={})
    assert everything.routes["/stations/{city}"].standing_topics() == ({"city": "paris"}, {"city": "lyon"})
    assert everything.routes["/quotes-{symbol}.json"].standing_topics() == ({"symbol": "ACME"}, {"symbol": "007"})
    assert route("poll: {while: always}").standing_topics() == ({},)
    assert route("poll: {every: 1s}").standing_topics() == ()


def test_defaults_merge_into_every_route() -> None:
    """Mappings merge, other values replace, null removes."""
    routes = config.load(CONFIGS / "good" / "defaults_and_anchors.yaml", environ={}).routes
    assert (routes["/inherits"].poll.every, routes["/inherits"].poll.linger) == (60, 5)
    assert (routes["/merges"].poll.every, routes["/merges"].poll.linger) == (2, 5)
    assert routes["/replaces"].transports == ("sse",)
    assert (routes["/removes"].stale.expire, routes["/removes"].poll.linger) == (None, 30)
    assert (routes["/anchored"].poll.every, routes["/anchored"].poll.jitter) == (3, 0.05)


def test_a_route_that_picks_another_schedule_displaces_the_default_one() -> None:
    """`every` in a route replaces `cron` with all that belongs to it, and the other way round."""
    with_cron = MINIMAL + "defaults: {poll: {cron: '* * * * *', timezone: UTC}}\n"
    assert parse(with_cron.replace("bikes}}\nd", "bikes, poll: {every: 1s}}}\nd")).routes["/stations"].poll.every == 1
    with_every = MINIMAL.replace("bikes}}\n", "bikes, poll: {adaptive: {min: 1s, max: 2s}}}}\n")
    poll = parse(with_every + "defaults: {poll: {every: 1s}}\n").routes["/stations"].poll
    assert poll.adaptive is not None and (poll.adaptive.min, poll.adaptive.max) == (1, 2)


def test_yaml_1_2_leaves_words_and_times_alone() -> None:
    """`on` and `yes` are texts, 1:30 is not 90, a date is no date."""
    gateway = config.load(CONFIGS / "good" / "yaml_1_2.yaml", environ={})
    upstream = gateway.upstreams["on"]
    assert upstream.headers == {"X-Flag": "yes", "X-Time": "1:30", "X-Literal": "${HOST}", "X-Date": "2024-01-01"}
    assert gateway.routes["/n{no}"].max_topics == 12


@pytest.mark.parametrize(
    ("written", "environ", "value"),
    [
        ("${A}", {"A": "x"}, "x"),
        ("${A}", {"A": ""}, ""),
        ("a${A}b${B}", {"A": "1", "B": "2"}, "a1b2"),
        ("${A:-d}", {}, "d"),
        ("${A:-d}", {"A": ""}, "d"),
        ("${A:-}", {}, ""),
        ("${A:?no}", {"A": "x"}, "x"),
        ("$${A}", {"A": "x"}, "${A}"),
        ("$A {b}", {"A": "x"}, "$A {b}"),
        ("${A}", {"A": "x: {y: z}\nkey: ${B}"}, "x: {y: z}\nkey: ${B}"),
    ],
)
def test_variables_are_one_text_and_nothing_else(written: str, environ: dict[str, str], value: str) -> None:
    """What a variable holds is not read as YAML, and not replaced again."""
    assert route(f"description: '{written}'", **environ).description == value


def test_a_plain_variable_fits_where_a_number_or_a_flag_is_asked_for() -> None:
    text = MINIMAL + "server: {limits: {topics: '${TOPICS}'}, cors: {credentials: '${ALLOW}'}}\n"
    server = parse(text, TOPICS="12", ALLOW="true").server
    assert (server.limits.topics, server.cors.credentials) == (12, True)


def test_a_file_brings_its_text_without_the_last_line_end(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("line one\nline two\r\n")
    text = MINIMAL.replace("upstream: bikes}", "upstream: bikes, description: '${file:token}'}")
    gateway = config.parse(text, file="gateway.yaml", environ={}, base=tmp_path)
    assert gateway.routes["/stations"].description == "line one\nline two"


def test_a_file_that_is_no_text_or_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "long").write_bytes(b"x" * 1_000_001)
    text = MINIMAL + "server: {base_path: '${file:binary}', prefix: '${file:long}'}\n"
    with pytest.raises(ConfigError) as caught:
        config.parse(text, file="f", environ={}, base=tmp_path)
    assert [problem.message for problem in caught.value.problems] == [
        "${file:binary} is not UTF-8 text",
        "${file:long} is larger than 1000000 bytes",
    ]


def test_a_byte_order_mark_is_no_part_of_the_file() -> None:
    gateway = config.parse(b"\xef\xbb\xbf" + MINIMAL.encode(), file="f", environ={}, base=Path("/"))
    assert list(gateway.routes) == ["/stations"]


def test_bytes_that_are_not_utf_8_are_found() -> None:
    with pytest.raises(ConfigError, match=r"^f:2:4: is not UTF-8; save the file in that encoding$"):
        config.parse(b"a:\nb: \xff\n", file="f", environ={}, base=Path("/"))


def test_a_file_nested_without_end_is_refused() -> None:
    assert problems("a: " + "[" * 100_000) == ["1:1: no valid YAML: nested too deep"]


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    """Mistakes in YAML, in values, between sections, and what is not yet implemented, together."""
    text = (
        "version: 1\n"
        "server: {heartbeat: 1s}\n"
        "upstreams: {bikes: {url: 'https://bikes.example', timeuot: {}}}\n"
        "routes:\n"
        "  /a: {upstream: bikes, emit: pach}\n"
        "  /b: {upstream: bykes}\n"
        "  /b: {upstream: bikes}\n"
        "store: {kind: redis, url: 'redis://redis:6379'}\n"
    )
    assert [line.split(" ", 1)[0] for line in problems(text)] == [
        "2:21:",
        "3:51:",
        "5:31:",
        "6:18:",
        "7:3:",
        "8:9:",
    ]


def test_a_mistake_in_defaults_is_told_once_and_there() -> None:
    text = MINIMAL + "  \ndefaults: {poll: {every: 0s}}\n"
    assert problems(text.replace("bikes}}", "bikes}, /more: {upstream: bikes}}")) == [
        "5:26: defaults: every: 0s must be above 0s"
    ]


@pytest.mark.parametrize(
    ("more", "warning"),
    [
        (
            "upstreams: {bikes: {url: 'http://b.example', headers: {X-Api-Key: k}}}\nroutes: {/a: {upstream: bikes}}",
            "2:56: upstream bikes: headers.X-Api-Key: travels without TLS, readable on the way; use https",
        ),
        (
            "upstreams: {bikes: {url: 'https://b.example'}}\nroutes:\n  /a: {upstream: bikes}\n"
            "  /b: {upstream: bikes, request: {path: /a}}",
            "5:3: route /b: asks the same as route /a; one route costs the upstream half the requests",
        ),
    ],
)
def test_what_works_and_is_worth_a_second_thought_is_a_warning(more: str, warning: str) -> None:
    found = config.warnings(parse(f"version: 1\n{more}\n"))
    assert [f"{problem.line}:{problem.column}: {problem.message}" for problem in found] == [warning]


def test_loopback_needs_no_tls_and_other_headers_make_other_requests() -> None:
    text = (
        "version: 1\nupstreams: {bikes: {url: 'http://127.0.0.1:1', headers: {X-Api-Key: k}}}\nroutes:\n"
        "  /a: {upstream: bikes, request: {headers: {X-Token: one}}}\n"
        "  /b: {upstream: bikes, request: {path: /a, headers: {X-Token: two}}}\n"
    )
    assert config.warnings(parse(text)) == []
