"""
The Grafana dashboard, panel by panel: ``python observability/dashboard.py`` writes grafana-dashboard.json beside it.

A query is PromQL in which ``@route``, ``@upstream`` and ``@house`` stand for what the variables at the top select: a
series that has a label ``route``, one that has a label ``upstream``, and one that has neither. A description says what
a panel shows and what to do about it. Panels fill the 24 columns of the page from left to right.

Classic JSON, which Grafana reads from version 9 on. Nothing here needs the rules of alerts.yaml, but for the number of
alerts that fire.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("grafana-dashboard.json")

Json = dict[str, Any]

HOUSE = 'job=~"$job",instance=~"$instance"'
SELECTORS = {"@route": f'{HOUSE},route=~"$route"', "@upstream": f'{HOUSE},upstream=~"$upstream"', "@house": HOUSE}

SOURCE = {"type": "prometheus", "uid": "${datasource}"}

GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"


# How a panel is made of a few words.


def query(expr: str, legend: str = "", **more: Any) -> Json:
    for token, selector in SELECTORS.items():
        expr = expr.replace(token, selector)
    return {"datasource": SOURCE, "expr": " ".join(expr.split()), "legendFormat": legend, **more}


def quantiles(metric: str, select: str, *shares: float, by: str = "") -> list[Json]:
    """Return a query for each of these quantiles of a histogram, and for each value of the label ``by``."""
    return [
        query(
            f"histogram_quantile({share}, "
            f"sum by ({f'{by}, ' if by else ''}le) (rate({metric}_bucket{{{select}}}[$__rate_interval])))",
            f"p{share * 100:g}{f' {{{{{by}}}}}' if by else ''}",
        )
        for share in shares
    ]


def steps(first: str, *others: tuple[float, str]) -> Json:
    """Return thresholds: a colour, and from which value on another one takes its place."""
    later = [{"color": colour, "value": value} for value, colour in others]
    return {"mode": "absolute", "steps": [{"color": first, "value": None}, *later]}


def panel(
    kind: str, title: str, text: str, queries: Iterable[Json], *, size: tuple[int, int], field: Json, options: Json
) -> Json:
    targets = [{"refId": chr(ord("A") + n), **one} for n, one in enumerate(queries)]
    return {
        "type": kind,
        "title": title,
        "description": " ".join(text.split()),
        "datasource": SOURCE,
        "gridPos": {"w": size[0], "h": size[1]},
        "targets": targets,
        "fieldConfig": {"defaults": field, "overrides": []},
        "options": options,
    }


def stat(title: str, text: str, expr: str, *, unit: str = "short", colours: Json | None = None, **more: Any) -> Json:
    """Return one number with its recent past behind it."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"]},
        "graphMode": "area",
        "colorMode": "value",
        "textMode": "value",
    }
    field = {"unit": unit, "thresholds": colours or steps(BLUE), "color": {"mode": "thresholds"}, **more}
    return panel("stat", title, text, [query(expr)], size=(3, 4), field=field, options=options)


def graph(
    title: str, text: str, *queries: Json, unit: str = "short", stacked: bool = False, width: int = 8, **more: Any
) -> Json:
    """Return lines over time; ``stacked``: areas upon each other."""
    custom = {
        "lineWidth": 1,
        "fillOpacity": 40 if stacked else 8,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none"},
    }
    if "thresholds" in more:
        custom["thresholdsStyle"] = {"mode": "line"}
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["mean", "lastNotNull"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    field = {"unit": unit, "min": 0, "custom": custom, **more}
    return panel("timeseries", title, text, queries, size=(width, 8), field=field, options=options)


def timeline(title: str, text: str, *queries: Json, words: Mapping[str, tuple[str, str]]) -> Json:
    """Return a bar for each series, in the colour of its value; ``words``: for each value a word and a colour."""
    mappings = {
        value: {"text": word, "color": colour, "index": n} for n, (value, (word, colour)) in enumerate(words.items())
    }
    field = {"mappings": [{"type": "value", "options": mappings}], "custom": {"fillOpacity": 80, "lineWidth": 0}}
    options = {"showValue": "never", "legend": {"displayMode": "list", "placement": "bottom"}}
    return panel("state-timeline", title, text, queries, size=(8, 8), field=field, options=options)


def table(
    title: str, text: str, label: str, columns: Mapping[str, tuple[str, str]], *, width: int, height: int
) -> Json:
    """Return a line for each value of ``label``; ``columns``: for each name a query and its unit."""
    queries = [query(expr, format="table", instant=True) for expr, _ in columns.values()]
    made = panel("table", title, text, queries, size=(width, height), field={}, options={"showHeader": True})
    names = {
        f"Value #{one['refId']}" if len(columns) > 1 else "Value": name
        for one, name in zip(made["targets"], columns, strict=True)
    }
    made["transformations"] = [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {"excludeByName": {"Time": True}, "renameByName": {label: label.capitalize(), **names}},
        },
    ]
    made["fieldConfig"]["overrides"] = [
        {"matcher": {"id": "byName", "options": name}, "properties": [{"id": "unit", "value": unit}]}
        for name, (_, unit) in columns.items()
    ]
    return made


# What is on the page.

OVERVIEW = [
    stat(
        "Alerts",
        """How many alerts of pushgate fire. Each has a section in docs/monitoring.md that says what to do. Always 0 if
        Prometheus does not load alerts.yaml.""",
        'count(ALERTS{alertname=~"Pushgate.+",alertstate="firing",job=~"$job"}) or vector(0)',
        colours=steps(GREEN, (1, RED)),
    ),
    stat(
        "Fresh",
        """Of the time in which somebody wants a topic, the share in which its document is live. Below 100 %: see
        the table for the route, and Polling for the reason.""",
        """1 - (sum(rate(pushgate_topic_seconds_total{@route,state=~"cold|held|stale"}[$__rate_interval])) or vector(0))
        / (sum(rate(pushgate_topic_seconds_total{@route,state=~"cold|held|live|stale"}[$__rate_interval])) > 0)""",
        unit="percentunit",
        colours=steps(RED, (0.9, YELLOW), (0.99, GREEN)),
        max=1,
    ),
    stat(
        "In time",
        """The share of events that are written within a second after the upstream's answer was read. Below 99 %: see
        Delivery for the route, and House for the event loop.""",
        """sum(rate(pushgate_delivery_seconds_bucket{@route,le="1.0"}[$__rate_interval]))
        / (sum(rate(pushgate_delivery_seconds_count{@route}[$__rate_interval])) > 0)""",
        unit="percentunit",
        colours=steps(RED, (0.9, YELLOW), (0.99, GREEN)),
        max=1,
    ),
    stat(
        "Topics stale",
        """Topics that somebody wants and whose polls have been failing: clients get the last good document, and have
        been told. Polling says why; `GET /-/topics?state=stale` on the admin listener says which.""",
        'sum(rate(pushgate_topic_seconds_total{@route,state="stale"}[$__rate_interval])) or vector(0)',
        colours=steps(GREEN, (0.5, RED)),
        decimals=0,
    ),
    stat(
        "Clients",
        """Streams and parked long polls. If it falls at once, see Connections for who or what ended them.""",
        "sum(pushgate_connections{@house})",
    ),
    stat(
        "Changes",
        """Changes published per minute. None for long: Changes shows since when.""",
        "60 * sum(rate(pushgate_changes_total{@route}[$__rate_interval]))",
        unit="cpm",
    ),
    stat(
        "Requests saved",
        """Of the requests that all clients together would have made if each had polled by itself, the share that the
        upstreams were spared. It is low where a topic has one client, or none and a long `linger`.""",
        """sum(rate(pushgate_upstream_requests_saved_total{@route}[$__rate_interval])) / (
        sum(rate(pushgate_upstream_requests_saved_total{@route}[$__rate_interval]))
        + sum(rate(pushgate_poll_duration_seconds_count{@route}[$__rate_interval])) > 0)""",
        unit="percentunit",
        max=1,
    ),
    stat(
        "Bytes saved",
        """Bytes per second of answers that the upstreams did not have to send, because nobody polls by himself.""",
        "sum(rate(pushgate_bytes_saved_total{@route}[$__rate_interval]))",
        unit="Bps",
    ),
    table(
        "Routes",
        """Every route as it is now. A route with stale topics: see Polling. One that was confirmed just now and has not
        changed for long: its backend may be frozen.""",
        "route",
        {
            "Live": ('sum by (route) (pushgate_topics{@route,state="live"})', "short"),
            "Stale": ('sum by (route) (pushgate_topics{@route,state="stale"})', "short"),
            "Held": ('sum by (route) (pushgate_topics{@route,state="held"})', "short"),
            "Paused": ('sum by (route) (pushgate_topics{@route,state="paused"})', "short"),
            "Subscribers": ("sum by (route) (pushgate_subscribers{@route})", "short"),
            "Polls": (
                "60 * sum by (route) (rate(pushgate_poll_duration_seconds_count{@route}[$__rate_interval]))",
                "cpm",
            ),
            "Changes": ("60 * sum by (route) (rate(pushgate_changes_total{@route}[$__rate_interval]))", "cpm"),
            "Confirmed": ("time() - min by (route) (pushgate_last_success_timestamp_seconds{@route})", "s"),
            "Changed": ("time() - max by (route) (pushgate_last_change_timestamp_seconds{@route})", "s"),
            "Saved": (
                "60 * sum by (route) (rate(pushgate_upstream_requests_saved_total{@route}[$__rate_interval]))",
                "cpm",
            ),
        },
        width=24,
        height=9,
    ),
]

POLLING = [
    graph(
        "Polls by outcome",
        """What polls came to. Mostly `changed`: poll more often, if the budget allows, since changes are missed. Never
        `not_modified`: the upstream has no validators. Many `failed`: see the next panel. `skipped`: nothing was sent,
        as the breaker is open or the upstream has asked for a pause.""",
        query("sum by (outcome) (rate(pushgate_polls_total{@route}[$__rate_interval]))", "{{outcome}}"),
        unit="reqps",
        stacked=True,
    ),
    graph(
        "Failures by reason",
        """Why polls fail. docs/operations.md has a table that says for every reason what it means and what to do;
        `pushgate try TOPIC` shows one poll step by step.""",
        query(
            "sum by (route, reason) (rate(pushgate_poll_failures_total{@route}[$__rate_interval]))",
            "{{route}} {{reason}}",
        ),
        unit="reqps",
    ),
    graph(
        "Topics by state",
        """Topics that somebody wants, on average over time. `stale`: polls fail. `cold`: there is no document yet.
        `held`: a guard waits for a second opinion. `paused`: outside `active`, or paused by an operator.""",
        query("sum by (state) (rate(pushgate_topic_seconds_total{@route}[$__rate_interval]))", "{{state}}"),
        stacked=True,
    ),
    graph(
        "Duration of polls",
        """From request to answer, without waiting for a turn. When p99 comes near `timeout.total`, polls begin to fail:
        poll less often, ask for less, or give the upstream more time.""",
        *quantiles("pushgate_poll_duration_seconds", "@route", 0.5, 0.99, by="route"),
        unit="s",
    ),
    graph(
        "Polls begin late",
        """How long after its time a poll begins: it waits for the event loop (see House). What it then waits for its
        upstream's budget is in Upstreams.""",
        *quantiles("pushgate_poll_lag_seconds", "@route", 0.5, 0.99, by="route"),
        unit="s",
    ),
    graph(
        "Since the last success",
        """The age of the oldest document that somebody wants. It rises to the interval and falls again; if it goes on
        rising, polls fail.""",
        query("time() - min by (route) (pushgate_last_success_timestamp_seconds{@route})", "{{route}}"),
        unit="s",
    ),
]

UPSTREAMS = [
    timeline(
        "Breaker",
        """Whether an upstream is asked at all. Open: so many polls in a row have failed that it is left alone. See
        Failures by reason, and whether it answers others.""",
        query('min by (upstream) (pushgate_breaker_state{@upstream,state="closed"})', "{{upstream}}"),
        words={"0": ("open", RED), "1": ("closed", GREEN)},
    ),
    timeline(
        "Found by the latest poll",
        """Whether the latest poll found the upstream; nothing where nothing polls it.""",
        query("min by (upstream) (pushgate_upstream_up{@upstream})", "{{upstream}}"),
        words={"0": ("away", RED), "1": ("there", GREEN)},
    ),
    graph(
        "Requests by upstream",
        """Requests that took their turn in an upstream's budget; an upstream without `budget` is not here. Compare with
        what `pushgate plan` says.""",
        query(
            "sum by (upstream) (rate(pushgate_budget_wait_seconds_count{@upstream}[$__rate_interval]))", "{{upstream}}"
        ),
        unit="reqps",
    ),
    graph(
        "Wait for the budget",
        """How long requests wait for their turn. If it rises, routes ask for more than the budget has, and intervals
        stretch: poll less often, batch topics, or agree on a larger budget.""",
        *quantiles("pushgate_budget_wait_seconds", "@upstream", 0.5, 0.99, by="upstream"),
        unit="s",
    ),
    graph(
        "Quota that is left",
        """What the upstream says is left of its own limit. At 0 it is left alone until that is reset: poll less often,
        or set `budget` below it.""",
        query("min by (upstream) (pushgate_upstream_quota_remaining{@upstream})", "{{upstream}}"),
    ),
    graph(
        "Logins and tokens",
        """New tokens, logins and sessions. `failed`: see the password or the secret, and the log for what the upstream
        said. Many of them: something else logs in as the same user and ends the session.""",
        query(
            "sum by (upstream, result) (rate(pushgate_credential_refreshes_total{@upstream}[$__rate_interval]))",
            "{{upstream}} {{result}}",
        ),
        unit="ops",
    ),
]

CHANGES = [
    graph(
        "Changes",
        """Changes published. A route that polls much more often than it changes can be polled less often, or
        adaptively.""",
        query("60 * sum by (route) (rate(pushgate_changes_total{@route}[$__rate_interval]))", "{{route}}"),
        unit="cpm",
    ),
    graph(
        "Since the last change",
        """How long a route has gone without a change. Longer than ever before, while polls succeed: what feeds the
        backend may have stopped, so look at the backend's own sources.""",
        query("time() - max by (route) (pushgate_last_change_timestamp_seconds{@route})", "{{route}}"),
        unit="s",
    ),
    graph(
        "Time to read and compare",
        """What it takes to make of an answer what it means. Above 100 ms, name a `key`, `select` less, or split the
        route: it delays everything else.""",
        *quantiles("pushgate_diff_seconds", "@route", 0.5, 0.99, by="route"),
        unit="s",
    ),
    graph(
        "Arrays without a key",
        """Arrays that had to be compared by index, although the route names a `key`: members are missing or doubled,
        and patches are larger than need be. `pushgate try TOPIC` says which.""",
        query("sum by (route) (rate(pushgate_keyless_arrays_total{@route}[$__rate_interval]))", "{{route}}"),
        unit="ops",
        width=12,
    ),
    graph(
        "Patches that failed their proof",
        """Each was replaced by a snapshot, so no client is wrong; but it is a fault of pushgate: please report it.""",
        query("sum by (route) (increase(pushgate_patch_rejected_total{@route}[$__rate_interval]))", "{{route}}"),
        width=12,
    ),
]

DELIVERY = [
    graph(
        "From answer to socket",
        """From the upstream's answer to a client's socket. It rises with the number of clients of one topic; if it
        rises by itself, see the event loop in House.""",
        *quantiles("pushgate_delivery_seconds", "@route", 0.5, 0.95, 0.99),
        unit="s",
    ),
    graph(
        "Within a second",
        """The share of events that are written within a second, by route; the line is what is promised.""",
        query(
            """sum by (route) (rate(pushgate_delivery_seconds_bucket{@route,le="1.0"}[$__rate_interval]))
            / (sum by (route) (rate(pushgate_delivery_seconds_count{@route}[$__rate_interval])) > 0)""",
            "{{route}}",
        ),
        unit="percentunit",
        max=1,
        thresholds=steps(RED, (0.99, GREEN)),
    ),
    graph(
        "Events",
        """What clients are told. Mostly `snapshot` where `patch` is the mode: documents have no `key`, or changes are
        no smaller than documents. Many `problem`: see docs/delivery.md for their codes, and the log.""",
        query("sum by (event) (rate(pushgate_deliveries_total{@route}[$__rate_interval]))", "{{event}}"),
        unit="ops",
        stacked=True,
    ),
    graph(
        "Bytes sent",
        """Bytes of events as they are sent, compressed where clients can read that. A route that sends too many:
        `select` less, name a `key`, or let clients ask for `throttle`.""",
        query(
            "sum by (route, transport) (rate(pushgate_sent_bytes_total{@route}[$__rate_interval]))",
            "{{route}} {{transport}}",
        ),
        unit="Bps",
    ),
    graph(
        "Several changes at once",
        """The share of events that stand for several changes, because a client had not read the ones before. One client
        in a tunnel is nothing; all clients of a transport are the network, or a proxy that buffers.""",
        query(
            """sum by (route, transport) (rate(pushgate_conflations_total{@route}[$__rate_interval]))
            / (sum by (route, transport) (rate(pushgate_deliveries_total{@route}[$__rate_interval])) > 0)""",
            "{{route}} {{transport}}",
        ),
        unit="percentunit",
    ),
    graph(
        "Resumes",
        """What clients get who come back with a cursor. `snapshot` is a gap: `history` does not reach back far enough,
        or the gateway was restarted with `store: memory`.""",
        query("sum by (result) (rate(pushgate_resumes_total{@house}[$__rate_interval]))", "{{result}}"),
        unit="ops",
        stacked=True,
    ),
]

CONNECTIONS = [
    graph(
        "Connections",
        """Streams and parked long polls, below the most there may be. Near the limit: raise `server.limits.connections`
        and the limit of open files, or add a replica.""",
        query("sum by (transport) (pushgate_connections{@house})", "{{transport}}"),
        query('sum(pushgate_limit{@house,resource="connections"})', "limit"),
    ),
    graph(
        "Subscribers",
        """Clients that follow a topic, by route; a connection may follow many.""",
        query("sum by (route) (pushgate_subscribers{@route})", "{{route}}"),
    ),
    graph(
        "New connections",
        """Connections taken over. A peak that is over in minutes is a restart or a network that came back; one that
        stays is a proxy that cuts streams off: compare its idle timeout with `server.heartbeat`.""",
        query("sum by (transport) (rate(pushgate_connections_total{@house}[$__rate_interval]))", "{{transport}}"),
        unit="cps",
    ),
    graph(
        "Refused",
        """Clients that wanted to stay and were not let in. `accept_rate` ends by itself; `connections` and `overloaded`
        need room; others are the clients' own: docs/delivery.md has a table of the codes.""",
        query(
            "sum by (transport, reason) (rate(pushgate_connections_refused_total{@house}[$__rate_interval]))",
            "{{transport}} {{reason}}",
        ),
        unit="cps",
    ),
    graph(
        "Ended, and why",
        """Who or what ended connections. `client` is usual. `dead`: networks that vanish. `slow`: clients that do not
        read. `refused`, `expired`: see Auth.""",
        query("sum by (reason) (rate(pushgate_disconnects_total{@house}[$__rate_interval]))", "{{reason}}"),
        unit="cps",
        stacked=True,
    ),
    graph(
        "Requests by status",
        """Requests answered, by status; for WebSockets that were refused, by close code. Many 429, 503 or 1013: see
        Refused. Many 502 or 504: topics that have no document yet, see Polling.""",
        query("sum by (code) (rate(pushgate_requests_total{@house}[$__rate_interval]))", "{{code}}"),
        unit="reqps",
        stacked=True,
    ),
]

ACCESS = [
    graph(
        "Credentials",
        """What came of credentials. `auth_unavailable`: the issuer or service does not answer, and nobody new gets in.
        Many of another kind: somebody guesses, or a client has been misconfigured; docs/security.md explains each.""",
        query("sum by (auth, result) (rate(pushgate_auth_total{@house}[$__rate_interval]))", "{{auth}} {{result}}"),
        unit="ops",
    ),
    graph(
        "Issuers' keys",
        """Times that issuers were asked for their keys. `failed`: the address under `jwks_url` does not answer; known
        keys go on being used.""",
        query(
            "sum by (auth, result) (rate(pushgate_auth_key_fetches_total{@house}[$__rate_interval]))",
            "{{auth}} {{result}}",
        ),
        unit="ops",
    ),
    graph(
        "Passed on",
        """Requests that no route matches, passed on to the backend, by the status of their answers. 502 and 504 are
        pushgate's: the backend is away, or too slow.""",
        query(
            "sum by (upstream, code) (rate(pushgate_proxy_requests_total{@upstream}[$__rate_interval]))",
            "{{upstream}} {{code}}",
        ),
        unit="reqps",
        stacked=True,
    ),
]

HOUSE_KEEPING = [
    graph(
        "Memory",
        """The process, what it accounts for, and the most there may be of that. Histories make room by themselves; if
        documents alone come near the limit, raise `server.limits.memory`, or `select` less.""",
        query("sum by (instance) (process_resident_memory_bytes{@house})", "{{instance}} process"),
        query("sum by (what) (pushgate_memory_bytes{@house})", "{{what}}"),
        query('sum(pushgate_limit{@house,resource="memory"})', "limit"),
        unit="bytes",
    ),
    graph(
        "Event loop",
        """How late the process comes to what is due. Above 250 ms clients notice: large documents, too many clients for
        one core, or a machine that is busy with something else.""",
        *quantiles("pushgate_event_loop_lag_seconds", "@house", 0.5, 0.99, by="instance"),
        unit="s",
    ),
    graph(
        "CPU",
        """Cores in use. One process uses one core, and a second one for documents above 512 KB: near 1, add a
        replica, poll less often, or `select` less.""",
        query("sum by (instance) (rate(process_cpu_seconds_total{@house}[$__rate_interval]))", "{{instance}}"),
    ),
    graph(
        "Open files",
        """Every connection is an open file. Near the limit: raise `LimitNOFILE`, or `ulimit -n`.""",
        query("sum by (instance) (process_open_fds{@house})", "{{instance}} open"),
        query("max by (instance) (process_max_fds{@house})", "{{instance}} limit"),
    ),
    graph(
        "Topics that are wanted",
        """Below the most there may be; those that nobody wants make room. Near the limit: raise `server.limits.topics`,
        or narrow the patterns of `params`.""",
        query("sum(rate(pushgate_topic_seconds_total{@house}[$__rate_interval]))", "wanted"),
        query('sum(pushgate_limit{@house,resource="topics"})', "limit"),
    ),
    timeline(
        "Configuration and drain",
        """Red: the configuration that was read last is not sound, and the one before is in force; `pushgate check` says
        where. Yellow: clients are asked to leave; `pushgate drain --undo` ends that.""",
        query("pushgate_config_last_reload_successful{@house}", "{{instance}} configuration"),
        query("2 + pushgate_draining{@house}", "{{instance}} drain"),
        words={"0": ("not sound", RED), "1": ("in force", GREEN), "2": ("open", GREEN), "3": ("draining", YELLOW)},
    ),
    table(
        "Certificates",
        """When each certificate in use ends. A new file is taken over by itself: if this does not rise, see what renews
        it.""",
        "file",
        {"Ends in": ("min by (file) (pushgate_certificate_expiry_timestamp_seconds{@house}) - time()", "s")},
        width=12,
        height=6,
    ),
    table(
        "Instances",
        """What runs, for how long, and since when with its present configuration.""",
        "instance",
        {
            "Runs for": ("time() - max by (instance) (process_start_time_seconds{@house})", "s"),
            "Configured for": (
                "time() - max by (instance) (pushgate_config_last_reload_success_timestamp_seconds{@house})", "s"
            ),
            "Version": ("max by (instance, version) (pushgate_build_info{@house})", "short"),
        },
        width=12,
        height=6,
    ),
]  # fmt: skip

ROWS: dict[str, list[Json]] = {
    "Overview": OVERVIEW,
    "Polling": POLLING,
    "Upstreams": UPSTREAMS,
    "Changes": CHANGES,
    "Delivery": DELIVERY,
    "Connections": CONNECTIONS,
    "Auth and proxy": ACCESS,
    "House": HOUSE_KEEPING,
}


# How the page is put together.


def laid_out(rows: Mapping[str, Sequence[Json]]) -> list[Json]:
    """Return the rows and their panels, each in its place and with a number."""
    placed: list[Json] = []
    top = 0
    for title, panels in rows.items():
        placed.append({"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": box(0, top, 24, 1)})
        top, left, height = top + 1, 0, 0
        for one in panels:
            size = one["gridPos"]
            if left + size["w"] > 24:
                top, left, height = top + height, 0, 0
            placed.append({**one, "gridPos": box(left, top, size["w"], size["h"])})
            left, height = left + size["w"], max(height, size["h"])
        top += height
    return [{"id": number, **one} for number, one in enumerate(placed, start=1)]


def box(x: int, y: int, w: int, h: int) -> Json:
    return {"x": x, "y": y, "w": w, "h": h}


def variable(name: str, label: str, series: str) -> Json:
    """Return a variable that takes its values from a label, of which several may be chosen; at first all are."""
    definition = f"label_values({series}, {name})"
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "definition": definition,
        "query": {"query": definition, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def mark(name: str, expr: str, colour: str) -> Json:
    """Return an annotation: a line in all graphs where ``expr`` yields something."""
    return {"name": name, "datasource": SOURCE, "enable": True, "iconColor": colour, "titleFormat": name,
            "textFormat": "{{instance}}", **query(expr)}  # fmt: skip


def dashboard() -> Json:
    started = "pushgate_config_last_reload_success_timestamp_seconds{@house}"
    return {
        "uid": "pushgate",
        "title": "pushgate",
        "description": "What pushgate polls, what changes, and who is told. docs/monitoring.md explains every metric.",
        "tags": ["pushgate"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "annotations": {
            "list": [
                mark("Configuration taken over", f"changes({started}[$__rate_interval]) > 0", BLUE),
                mark("Restart", "changes(process_start_time_seconds{@house}[$__rate_interval]) > 0", YELLOW),
            ]
        },
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
                variable("job", "Job", "pushgate_build_info"),
                variable("instance", "Instance", 'pushgate_build_info{job=~"$job"}'),
                variable("route", "Route", 'pushgate_changes_total{job=~"$job"}'),
                variable("upstream", "Upstream", '{__name__=~"pushgate_.+",job=~"$job",upstream!=""}'),
            ]
        },
        "panels": laid_out(ROWS),
    }


def text() -> str:
    """Return the file as it has to be."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text())
