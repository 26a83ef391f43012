"""
Every series that pushgate promises to Prometheus, and how to read what is said of them in PromQL.

The table is the promise, written down beside the code: what the gateway shows, what the alerts and the dashboard ask
for, and what docs/monitoring.md explains are all held against it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pushgate.errors import CredentialFault, Refusal

Kind = Literal["counter", "gauge", "histogram"]

# Values that the configuration gives: names of routes, upstreams, entries of `auth:`, files.
CONFIGURED = "<configured>"

POLLED = "changed unchanged not_modified held gone failed skipped"
FAILED = """timeout connect dns tls http_4xx http_5xx rate_limited upstream_auth protocol truncated too_large decode
select guard fail_if budget"""
STATES = "cold live stale held paused gone ended"
STREAMS = "sse websocket"
LASTING = f"long_poll {STREAMS}"
TRANSPORTS = f"short_poll {LASTING}"
EVENTS = "snapshot patch merge items gone end status heartbeat expiring problem ack"
PARTINGS = "client dead slow no_ping ended drained refused expired"
LIMITS = "accept_rate connections memory per_address per_principal topics topics_per_principal"
RESUMED = "replayed combined snapshot current"
STATUS = "<status>"  # of HTTP, or a close code

# Which limit somebody met, or the code of another refusal.
REFUSED = " ".join(
    {
        *(
            "accept_rate",
            "connections",
            "newcomers",
            "failures",
            "per_address",
            "per_principal",
            "topics_per_principal",
        ),
        *(kind.code for kind in Refusal.__subclasses__()),
        *get_args(CredentialFault),
    }
)


@dataclass(frozen=True, slots=True)
class Series:
    """A metric: its type, and for each of its labels the values that it may have, or where they come from."""

    kind: Kind
    labels: Mapping[str, str]

    def allows(self, label: str, value: str) -> bool:
        """Whether the label may have this value, as far as that is known without the configuration."""
        allowed = self.labels[label]
        if allowed == STATUS:
            return re.fullmatch(r"[1-5]\d\d|1\d{3}|4\d{3}|other", value) is not None
        return allowed == CONFIGURED or value in allowed.split()


def _counter(**labels: str) -> Series:
    return Series("counter", labels)


def _gauge(**labels: str) -> Series:
    return Series("gauge", labels)


def _histogram(**labels: str) -> Series:
    return Series("histogram", labels)


SERIES: dict[str, Series] = {
    # Polling.
    "pushgate_polls_total": _counter(route=CONFIGURED, outcome=POLLED),
    "pushgate_poll_failures_total": _counter(route=CONFIGURED, reason=FAILED),
    "pushgate_poll_duration_seconds": _histogram(route=CONFIGURED),
    "pushgate_poll_lag_seconds": _histogram(route=CONFIGURED),
    "pushgate_upstream_up": _gauge(upstream=CONFIGURED),
    "pushgate_breaker_state": _gauge(upstream=CONFIGURED, state="closed open half_open"),
    "pushgate_budget_wait_seconds": _histogram(upstream=CONFIGURED),
    "pushgate_upstream_quota_remaining": _gauge(upstream=CONFIGURED),
    "pushgate_last_success_timestamp_seconds": _gauge(route=CONFIGURED),
    "pushgate_last_change_timestamp_seconds": _gauge(route=CONFIGURED),
    "pushgate_topics": _gauge(route=CONFIGURED, state=STATES),
    "pushgate_topic_seconds_total": _counter(route=CONFIGURED, state=STATES),
    # Changes.
    "pushgate_changes_total": _counter(route=CONFIGURED),
    "pushgate_diff_seconds": _histogram(route=CONFIGURED),
    "pushgate_patch_rejected_total": _counter(route=CONFIGURED),
    "pushgate_keyless_arrays_total": _counter(route=CONFIGURED),
    # Delivery.
    "pushgate_subscribers": _gauge(route=CONFIGURED, transport=LASTING),
    "pushgate_connections": _gauge(transport=LASTING),
    "pushgate_connections_total": _counter(transport=LASTING),
    "pushgate_connections_refused_total": _counter(transport=LASTING, reason=REFUSED),
    "pushgate_disconnects_total": _counter(transport=LASTING, reason=PARTINGS),
    "pushgate_deliveries_total": _counter(route=CONFIGURED, transport=TRANSPORTS, event=EVENTS),
    "pushgate_sent_bytes_total": _counter(route=CONFIGURED, transport=TRANSPORTS),
    "pushgate_conflations_total": _counter(route=CONFIGURED, transport=STREAMS),
    "pushgate_resumes_total": _counter(transport=LASTING, result=RESUMED),
    "pushgate_delivery_seconds": _histogram(route=CONFIGURED),
    "pushgate_requests_total": _counter(route=CONFIGURED, transport=f"{TRANSPORTS} write", code=STATUS),
    "pushgate_proxy_requests_total": _counter(upstream=CONFIGURED, code=STATUS),
    # Worth.
    "pushgate_upstream_requests_saved_total": _counter(route=CONFIGURED),
    "pushgate_bytes_saved_total": _counter(route=CONFIGURED),
    # House.
    "pushgate_auth_total": _counter(auth=CONFIGURED, result=f"ok {REFUSED}"),
    "pushgate_auth_key_fetches_total": _counter(auth=CONFIGURED, result="ok failed"),
    "pushgate_credential_refreshes_total": _counter(upstream=CONFIGURED, result="ok failed"),
    "pushgate_certificate_expiry_timestamp_seconds": _gauge(file=CONFIGURED),
    "pushgate_limit": _gauge(resource=LIMITS),
    "pushgate_memory_bytes": _gauge(what="documents histories"),
    "pushgate_event_loop_lag_seconds": _histogram(),
    "pushgate_draining": _gauge(),
    "pushgate_config_last_reload_successful": _gauge(),
    "pushgate_config_last_reload_success_timestamp_seconds": _gauge(),
    "pushgate_build_info": _gauge(version=CONFIGURED),
}

# What every process shows, under the names that dashboards for processes expect.
PROCESS: dict[str, Series] = {
    "process_cpu_seconds_total": _counter(),
    "process_max_fds": _gauge(),
    "process_open_fds": _gauge(),
    "process_resident_memory_bytes": _gauge(),
    "process_start_time_seconds": _gauge(),
    "process_virtual_memory_bytes": _gauge(),
    "python_info": _gauge(implementation=CONFIGURED, major=CONFIGURED, minor=CONFIGURED, patchlevel=CONFIGURED,
                          version=CONFIGURED),
    "python_gc_objects_collected_total": _counter(generation="0 1 2"),
    "python_gc_objects_uncollectable_total": _counter(generation="0 1 2"),
    "python_gc_collections_total": _counter(generation="0 1 2"),
}  # fmt: skip

# What Prometheus adds, and what is its own.
ADDED = {"job", "instance", "le"}
OWN = {"up": set[str](), "ALERTS": {"alertname", "alertstate"}}

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{((?:[^}\"]|\"(?:[^\"\\]|\\.)*\")*)\}")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_NAME = re.compile(r"\b(?:pushgate|process|python|go|node)_\w+|\b\w*:[\w:]+|\bup\b|\bALERTS\b")
_BY = re.compile(r"\b(?:by|on|ignoring|without|group_left|group_right)\s*\(([^)]*)\)")


def found(name: str) -> Series | None:
    """Return the metric that a sample of this name belongs to, if there is one."""
    every = SERIES | PROCESS
    if name in every and every[name].kind != "histogram":
        return every[name]
    base = re.sub(r"_(?:bucket|sum|count)$", "", name)
    return every[base] if base != name and base in every and every[base].kind == "histogram" else None


def names_in(expr: str) -> set[str]:
    """Return the series that an expression names, recorded ones too."""
    return set(_NAME.findall(_TEXT.sub('""', expr)))


def complaints(expr: str) -> Iterator[str]:
    """Yield what an expression says of our series that is not so: a name, a label, or a value that there is not."""
    names = {name for name in names_in(expr) if ":" not in name and name not in OWN}
    yield from (f"there is no {name}" for name in names if found(name) is None)
    for name, matchers in _SELECTOR.findall(expr):
        series = found(name)
        for label, operator, value in _MATCHER.findall(matchers) if series is not None else ():
            if label in ADDED or "$" in value:
                continue
            if label not in series.labels:
                yield f"{name} has no label {label}"
            elif operator in ("=", "=~"):
                values = value.split("|") if operator == "=~" else [value]
                yield from (f"{name} has no {label}={one}" for one in values if not series.allows(label, one))
    labels = {label for name in names if (series := found(name)) is not None for label in series.labels}
    labels |= {name.partition(":")[0] for name in names_in(expr) if ":" in name}  # a recorded one begins with its label
    for group in _BY.findall(expr):
        asked = {label.strip() for label in group.split(",") if label.strip()} - ADDED - labels
        yield from (f"nothing here has the label {label}" for label in asked if f'"{label}"' not in expr)
