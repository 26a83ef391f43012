"""Traces of polls: at the backend, in the log, and where OpenTelemetry's own variables say."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from structlog.testing import capture_logs

from backends import PATIENCE, ScriptedBackend, answering
from gateways import http_client, route, running_gateway
from processes import ROOT, Process, free_port
from pushgate.adapters.opentelemetry import FAREWELL, OpenTelemetryTracer, TracesUnavailable, is_wanted, tracing
from pushgate.correlation import read_trace
from pushgate.tracing import NOBODY
from transports import connected

PARTS = ["deliver", "fetch", "publish", "refine"]


@pytest.fixture
def kept() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(kept: InMemorySpanExporter) -> Iterator[OpenTelemetryTracer]:
    tracer = OpenTelemetryTracer(SimpleSpanProcessor(kept), {})
    yield tracer
    tracer.close()


def by_trace(spans: Sequence[ReadableSpan]) -> dict[str, list[ReadableSpan]]:
    traces: dict[str, list[ReadableSpan]] = {}
    for span in spans:
        traces.setdefault(f"{span.context.trace_id:032x}", []).append(span)
    return traces


async def test_one_trace_for_each_poll_that_changed_something(
    backend: ScriptedBackend, kept: InMemorySpanExporter, tracer: OpenTelemetryTracer
) -> None:
    """From when it was due until the last client was told; polls that changed nothing leave none."""
    backend.serve({"n": 0})
    async with (
        running_gateway(backend, {"/t": route(emit=["snapshot"])}, tracer=tracer) as gateway,
        connected("sse", gateway.base, "/t") as first,
        connected("websocket", gateway.base, "/t") as second,
    ):
        for n in range(1, 4):
            await asyncio.gather(first.hear("snapshot"), second.hear("snapshot"))
            await backend.polled(3)
            backend.serve({"n": n})
        await asyncio.gather(first.hear("snapshot"), second.hear("snapshot"))
        spans = kept.get_finished_spans()
    traces = by_trace(spans)
    assert len(traces) == 4 < len(backend.requests)
    for trace in traces.values():
        (root,) = [span for span in trace if span.parent is None]
        parts = [span for span in trace if span is not root]
        assert root.name == "poll" and sorted(part.name for part in parts) == PARTS
        assert all(part.parent is not None and part.parent.span_id == root.context.span_id for part in parts)
        assert root.attributes is not None and root.attributes["pushgate.topic"] == "/t"
        assert all(part.start_time <= part.end_time <= root.end_time for part in parts)  # type: ignore[operator]
        assert root.start_time <= min(part.start_time for part in parts)  # type: ignore[operator, type-var]


async def test_the_trace_goes_on_at_the_backend(
    backend: ScriptedBackend, kept: InMemorySpanExporter, tracer: OpenTelemetryTracer
) -> None:
    """Its spans there are part of what the poll calls ``fetch``."""
    backend.serve({"n": 0})
    async with (
        running_gateway(backend, {"/t": route()}, tracer=tracer) as gateway,
        connected("sse", gateway.base, "/t") as client,
    ):
        await client.hear("snapshot")
        (fetch,) = [span for span in kept.get_finished_spans() if span.name == "fetch"]
    told = read_trace([backend.requests[0].headers["traceparent"]], [])
    assert told is not None and told.is_sampled and fetch.kind is SpanKind.CLIENT
    assert (int(told.id, 16), int(told.parent, 16)) == (fetch.context.trace_id, fetch.context.span_id)


async def test_waiting_for_the_budget_can_be_seen(
    backend: ScriptedBackend, kept: InMemorySpanExporter, tracer: OpenTelemetryTracer
) -> None:
    backend.serve({"n": 0})
    upstream = {"budget": {"rate": ["5/s"], "burst": 1}}
    async with (
        running_gateway(backend, {"/t/{x}": route()}, upstream=upstream, tracer=tracer) as gateway,
        http_client(base_url=gateway.base) as client,
    ):
        await asyncio.gather(*(client.get(f"/t/{x}") for x in range(2)))
    waits = [span for span in kept.get_finished_spans() if span.name == "wait"]
    assert waits and all(wait.end_time > wait.start_time for wait in waits)  # type: ignore[operator]


async def test_without_anybody_who_keeps_them_polls_have_traces_too(backend: ScriptedBackend) -> None:
    """Each its own, which says that nobody keeps it; the log of a failure has its id."""
    backend.say(b"no", status=500)
    with capture_logs() as lines:
        async with (
            running_gateway(backend, {"/t": route()}) as gateway,
            connected("sse", gateway.base, "/t") as client,
        ):
            await client.hear("status")
            await backend.polled(1)
    told = [read_trace([one.headers["traceparent"]], []) for one in backend.requests]
    assert all(trace is not None and not trace.is_sampled for trace in told)
    ids = [trace.id for trace in told if trace is not None]
    logged = [line["trace_id"] for line in lines if line["event"] == "poll.failed"]
    assert len({*ids}) == len(ids) and logged and {*logged} <= {*ids}


async def test_a_trace_that_the_configuration_names_is_not_overruled(backend: ScriptedBackend) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
    async with (
        running_gateway(backend, {"/t": route()}, upstream={"headers": {"Traceparent": trace}}) as gateway,
        http_client(base_url=gateway.base) as client,
    ):
        await client.get("/t")
    assert backend.requests[0].headers["traceparent"] == trace


# As a process, with a collector.


class Collector:
    """Takes traces in as the protocol says (OTLP/HTTP), or not at all if it ``is_stuck``."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self.is_stuck = False
        self.asked = asyncio.Event()

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        self.asked.set()
        if self.is_stuck:
            await asyncio.sleep(3 * PATIENCE)
        assert (request.path, request.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = [one.value.string_value for one in resource.resource.attributes if one.key == "service.name"]
            self.services.update(named)
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        taken = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=taken, content_type="application/x-protobuf")


@pytest.fixture
async def collector() -> AsyncIterator[tuple[Collector, str]]:
    collector = Collector()
    async with answering(collector) as url:
        yield collector, url


def started(backend: ScriptedBackend, folder: Path, **environ: str) -> tuple[Process, str, str]:
    """Return a gateway process that polls by itself, and the URLs of its listeners."""
    ports = free_port(), free_port()
    server = {"listen": f"127.0.0.1:{ports[0]}", "admin": {"listen": f"127.0.0.1:{ports[1]}"}}
    routes = {"/t": {"upstream": "u", "poll": {"every": "50ms", "while": "always"}}}
    config = {"version": 1, "server": server, "upstreams": {"u": {"url": backend.url}}, "routes": routes}
    file = folder / "gateway.yaml"
    file.write_text(json.dumps(config))
    process = Process("pushgate", [sys.executable, "-m", "pushgate", "run", "-c", file], env=environ)
    return process, *(f"http://127.0.0.1:{port}" for port in ports)


async def ended(process: Process) -> float:
    """Tell it to end; return how long that takes."""
    began = time.monotonic()
    assert await asyncio.to_thread(process.end) == 0, process.output()
    return time.monotonic() - began


async def test_a_collector_gets_them(
    backend: ScriptedBackend, collector: tuple[Collector, str], tmp_path: Path
) -> None:
    """By HTTP, in its own form; the last ones before the process ends, which has no time to wait for the next batch."""
    backend.serve({"n": 0})
    taken, url = collector
    process, _, admin = started(backend, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_BSP_SCHEDULE_DELAY="3600000")
    with process:
        await asyncio.to_thread(process.wait_until_ready, f"{admin}/readyz")
        await backend.polled(2)
        assert await ended(process) < PATIENCE
    assert sorted(span.name for span in taken.spans) == sorted([*PARTS, "poll"]) and taken.services == {"pushgate"}
    told = {read_trace([one.headers["traceparent"]], []) for one in backend.requests}
    assert {span.trace_id.hex() for span in taken.spans} < {trace.id for trace in told if trace is not None}


async def test_a_collector_that_is_stuck_keeps_nobody(
    backend: ScriptedBackend, collector: tuple[Collector, str], tmp_path: Path
) -> None:
    """Neither the polls nor the end."""
    backend.serve({"n": 0})
    stuck, url = collector
    stuck.is_stuck = True
    process, _, admin = started(backend, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_BSP_SCHEDULE_DELAY="1")
    with process:
        await asyncio.to_thread(process.wait_until_ready, f"{admin}/readyz")
        async with asyncio.timeout(3 * PATIENCE):
            await stuck.asked.wait()
        await backend.polled(3)
        assert await ended(process) < FAREWELL + PATIENCE / 2


WHOLE = {"upstreams": {"u": {"url": "http://127.0.0.1:1"}}, "routes": {"/t": {"upstream": "u"}}}
WITHOUT_THE_EXTRA = """
import sys
sys.modules["opentelemetry.sdk"] = sys.modules["opentelemetry.exporter"] = None
from pushgate.__main__ import main
sys.argv = ["pushgate", "run", "-c", sys.argv[1]]
main()
"""


def test_a_missing_extra_is_told_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps({"version": 1, **WHOLE}))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_EXTRA, file],
        cwd=ROOT,
        env={"OTEL_TRACES_EXPORTER": "otlp"},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert done.returncode == 1 and "pip install 'pushgate[otel]'" in done.stderr, done
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER=zipkin: pushgate has otlp, console and none"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: pushgate speaks http/protobuf",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json: pushgate speaks http/protobuf",
        ),
    ],
)
def test_what_cannot_be_had_is_told_too(environ: dict[str, str], complaint: str) -> None:
    with pytest.raises(TracesUnavailable, match=complaint), tracing(environ):
        pass


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "pushgate"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
    ],
)
def test_nothing_is_traced_unless_it_is_asked_for(environ: dict[str, str], expected: bool) -> None:
    assert is_wanted(environ) is expected


def test_who_does_without_does_not_import_it() -> None:
    with tracing({}) as tracer:
        assert tracer is NOBODY
    program = "import sys, pushgate.cli.run, pushgate.gateway; print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
