"""How a request can be found again: its id and its trace are read from its fields, and the id is kept with it."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ...correlation import REQUEST_ID, RequestIds, Trail, read_trace

_ID: Final = web.RequestKey("request_id", str)


def identify(request: web.BaseRequest, ids: RequestIds) -> str:
    """Return the id of a request, and keep it; called once, before anything else is done with it."""
    request_id = request[_ID] = ids(request.headers.get(REQUEST_ID))
    return request_id


def id_of(request: web.BaseRequest) -> str:
    return request[_ID]


def id_field(request: web.BaseRequest) -> dict[str, str]:
    """Return the header field that every answer has."""
    return {REQUEST_ID: request[_ID]}


def trail_of(request: web.BaseRequest) -> Trail:
    """Return by what a request is found again, here and at whoever is asked for it."""
    parents = request.headers.getall("traceparent", ())
    trace = read_trace(parents, request.headers.getall("tracestate", ())) if parents else None
    return Trail(request[_ID], trace)
