"""
Traces by OpenTelemetry, configured by its own ``OTEL_…`` variables and by nothing else.

Rule 1: the library is imported only if one of these asks for traces; who does without it needs not have it.
Rule 2: what exports them is a thread of the library's. Neither the loop nor the end of the process waits for it: at
the end it has a moment to send what it still has.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from .. import __version__
from ..errors import PushgateError
from ..tracing import NOBODY, Story, Tracer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

# How long the last traces may take to be sent when the process ends, in seconds.
FAREWELL: Final = 2.0

_EXPORTER = "OTEL_TRACES_EXPORTER"
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")  # the first that is set counts
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class TracesUnavailable(PushgateError):
    """Traces are asked for and cannot be had."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __str__(self) -> str:
        return self.message


class OpenTelemetryTracer:
    """Makes spans of what polls did, and hands them to a processor of the library's."""

    is_on = True

    def __init__(self, processor: SpanProcessor, environ: Mapping[str, str]) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator

        class Ids(IdGenerator):
            """Gives the ids that the backend was told before there was a span."""

            def __init__(self) -> None:
                self.trace_id = 0
                self.span_id: int | None = None
                self._random = RandomIdGenerator()

            def generate_trace_id(self) -> int:
                return self.trace_id

            def generate_span_id(self) -> int:
                told, self.span_id = self.span_id, None
                return self._random.generate_span_id() if told is None else told

        own = {"service.version": __version__}
        if "OTEL_SERVICE_NAME" not in environ and "service.name=" not in environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
            own["service.name"] = "pushgate"
        self._ids = Ids()
        self._provider = TracerProvider(resource=Resource.create(own), id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("pushgate", __version__)

    def wants(self, trace_id: int) -> bool:
        """Whether the sampler that is configured (``OTEL_TRACES_SAMPLER``) takes a trace."""
        from opentelemetry.sdk.trace.sampling import Decision

        decision = self._provider.sampler.should_sample(None, trace_id, "poll").decision
        return bool(decision == Decision.RECORD_AND_SAMPLE)

    def tell(self, story: Story) -> None:
        """Hand over one span for the poll, and one for each of its parts."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, set_span_in_context

        self._ids.trace_id = int(story.id, 16)
        root = self._tracer.start_span(
            "poll", Context(), attributes=dict(story.facts), start_time=_nanoseconds(story.began)
        )
        inside = set_span_in_context(root, Context())
        for part in story.parts:
            is_asking = part.name == "fetch"
            self._ids.span_id = int(story.asked, 16) if is_asking else None
            kind = SpanKind.CLIENT if is_asking else SpanKind.INTERNAL
            span = self._tracer.start_span(part.name, inside, kind=kind, start_time=_nanoseconds(part.began))
            span.end(_nanoseconds(part.ended))
        root.end(_nanoseconds(story.ended))

    def close(self, patience: float = FAREWELL) -> None:
        """Send what there still is; what cannot be sent in time is lost."""
        thread = threading.Thread(target=self._provider.shutdown, name="the last traces", daemon=True)
        thread.start()
        thread.join(patience)


@contextmanager
def tracing(environ: Mapping[str, str]) -> Iterator[Tracer]:
    """Keep traces if the environment asks for that, as long as the context is open; raises TracesUnavailable."""
    if not is_wanted(environ):
        yield NOBODY
        return
    tracer = OpenTelemetryTracer(_processor(environ), environ)
    try:
        yield tracer
    finally:
        tracer.close()


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment asks for traces: it says where they go, or what exports them."""
    exporter = environ.get(_EXPORTER, "").strip().lower()
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    return bool(exporter) or any(environ.get(name) for name in _ENDPOINTS)


def _processor(environ: Mapping[str, str]) -> SpanProcessor:
    exporter = environ.get(_EXPORTER, "").strip().lower() or "otlp"
    told, protocol = next(((name, environ[name]) for name in _PROTOCOLS if environ.get(name)), ("", "http/protobuf"))
    if exporter not in ("otlp", "console"):
        raise TracesUnavailable(f"{_EXPORTER}={exporter}: pushgate has otlp, console and none")
    if exporter == "otlp" and protocol != "http/protobuf":
        raise TracesUnavailable(f"{told}={protocol}: pushgate speaks http/protobuf (to port 4318, usually)")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
    except ImportError as exc:
        message = "traces are asked for (OTEL_…), and what makes them is missing: pip install 'pushgate[otel]'"
        raise TracesUnavailable(message) from exc
    return BatchSpanProcessor(OTLPSpanExporter() if exporter == "otlp" else ConsoleSpanExporter())


def _nanoseconds(at: float) -> int:
    return round(at * 1_000_000_000)
