"""What becomes of a topic when the next configuration takes over: decided by comparing the two, without any I/O."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pushgate.config.gateway import Gateway as Config
from pushgate.errors import Refusal
from pushgate.generation import Ended, Fate, Generation, Kept, Renewed, fixed_keys, refusal_of
from pushgate.routes import TopicName
from pushgate.values import Caller

UPSTREAM = {"url": "http://u.example"}


def config(routes: dict[str, Any], upstream: dict[str, Any] = UPSTREAM, **sections: Any) -> Config:
    polled = {path: entry if "from" in entry else {"upstream": "u", **entry} for path, entry in routes.items()}
    return Config.model_validate({"version": 1, "upstreams": {"u": upstream}, "routes": polled, **sections})


def named(generation: Generation, path: str, values: dict[str, str], **query: str) -> TopicName:
    return generation.entries[path].topic(values, query, Caller(None, {"authorization": "me"}, {}))


def fate(
    before: dict[str, Any],
    after: dict[str, Any],
    *,
    path: str = "/t/{x}",
    upstream: dict[str, Any] = UPSTREAM,
    has_ended: bool = False,
    **query: str,
) -> Fate:
    """The fate of the topic /t/1 between two sets of routes."""
    first = Generation(config(before))
    name = named(first, path, {"x": "1"}, **query)
    return Generation(config(after, upstream), first).fate(first.entries[path], name, has_ended=has_ended)


def code(found: Fate) -> str:
    assert isinstance(found, Ended), found
    return found.refusal.code


def test_what_did_not_change_is_the_very_object_that_it_was() -> None:
    """So whatever belongs to a route, a remembered name or a compiled expression, survives."""
    routes: dict[str, Any] = {"/t/{x}": {"key": "id"}, "/v/{x}": {"from": "/t/{x}", "pointer": "/a"}, "/w": {}}
    first = Generation(config(routes))
    second = Generation(config({**routes, "/w": {"select": "a"}, "/new": {}}), first)
    assert second.entries["/t/{x}"] is first.entries["/t/{x}"]
    assert second.entries["/v/{x}"] is first.entries["/v/{x}"]
    assert second.entries["/w"] is not first.entries["/w"]


def test_a_view_is_another_one_if_its_parent_is() -> None:
    before: dict[str, Any] = {"/t": {}, "/v": {"from": "/t", "pointer": "/a"}}
    first = Generation(config(before))
    second = Generation(config({**before, "/t": {"select": "a"}}), first)
    assert second.entries["/v"] is not first.entries["/v"]


@pytest.mark.parametrize(
    "change",
    [
        {"description": "x"},
        {"poll": {"every": "1m", "linger": "1s", "ttl": "ttl", "until": "done"}},
        {"stale": {"after": 5}},
        {"emit": "snapshot", "transports": "sse", "max_topics": 1},
        {"history": {"events": 3}},
    ],
)
def test_what_is_no_publishing_key_keeps_the_document(change: dict[str, Any]) -> None:
    assert isinstance(fate({"/t/{x}": {}}, {"/t/{x}": change}), Kept)


@pytest.mark.parametrize(
    "change",
    [
        {"request": {"path": "/other/{x}"}},
        {"request": {"headers": {"Accept-Language": "de"}}},
        {"select": "a"},
        {"ignore": ["/a"]},
        {"key": "id"},
        {"format": "csv"},
        {"guards": {"shrink": "accept"}},
        {"on_status": {404: "keep"}},
        {"quiet": {"/a": "any"}},
    ],
)
def test_what_is_one_brings_a_new_document(change: dict[str, Any]) -> None:
    assert isinstance(fate({"/t/{x}": {}}, {"/t/{x}": change}), Renewed)


def test_another_backend_is_another_document_and_other_credentials_are_not() -> None:
    routes: dict[str, Any] = {"/t/{x}": {}}
    assert isinstance(fate(routes, routes, upstream={"url": "http://elsewhere.example"}), Renewed)
    credentials = {"kind": "bearer", "token": "secret"}
    assert isinstance(fate(routes, routes, upstream={**UPSTREAM, "credentials": credentials}), Kept)


def test_a_file_that_is_sent_counts_by_its_content(tmp_path: Path) -> None:
    """Although the configuration has only its name, and that is the same."""
    body = tmp_path / "query.graphql"
    routes = {"/t/{x}": {"request": {"method": "POST", "body_file": str(body)}}}
    body.write_text("{ a }")
    first = Generation(config(routes))
    body.write_text("{ b }")
    again = Generation(config(routes), first)
    name = named(first, "/t/{x}", {"x": "1"})
    assert isinstance(again.fate(first.entries["/t/{x}"], name, has_ended=False), Renewed)
    assert isinstance(Generation(config(routes), again).fate(again.entries["/t/{x}"], name, has_ended=False), Kept), (
        "the same content is the same"
    )


def test_what_no_longer_exists_ends_as_a_new_request_would() -> None:
    before: dict[str, Any] = {"/t/{x}": {}}
    assert code(fate(before, {"/other": {}})) == "no_such_topic"
    assert code(fate(before, {"/t/{x}": {"params": {"x": "[a-z]+"}}})) == "no_such_topic"
    listed: dict[str, Any] = {"/t/{x}": {"query": {"lang": "[a-z]+"}}}
    assert code(fate(listed, before, lang="de")) == "bad_request"
    assert isinstance(fate(listed, listed, lang="de"), Kept)


def test_a_parameter_may_get_another_name() -> None:
    """Names of parameters are nobody's business outside: the topic is called as before."""
    found = fate({"/t/{x}": {"request": {"path": "/p"}}}, {"/t/{y}": {"request": {"path": "/p"}}})
    assert isinstance(found, Kept) and found.name.values == {"y": "1"} and found.entry.name == "/t/{y}"


def test_a_new_route_may_stand_before_an_old_one() -> None:
    """A literal path beats a parameter, for topics that were there before it, too."""
    before: dict[str, Any] = {"/t/{x}": {}}
    found = fate(before, {**before, "/t/1": {"select": "a"}})
    assert isinstance(found, Renewed) and found.entry.name == "/t/1"
    assert isinstance(fate(before, {**before, "/t/2": {"select": "a"}}), Kept)


def test_a_topic_whose_name_is_another_one_now_has_to_be_asked_for_again() -> None:
    """A default that is filled in, a polled topic that becomes a view, clients that are told apart in another way."""
    before: dict[str, Any] = {"/t/{x}": {}}
    assert code(fate(before, {"/t/{x}": {"query": {"lang": {"pattern": "[a-z]+", "default": "de"}}}})) == "reloaded"
    view = {"/p": {}, "/t/{x}": {"from": "/p", "pointer": "/{x}"}}
    assert code(fate(before, view)) == "reloaded"
    mine: dict[str, Any] = {"/t/{x}": {"share": "identity", "forward": {"headers": ["Authorization"]}}}
    assert code(fate(before, mine)) == "reloaded"
    assert code(fate(mine, before)) == "reloaded"


def test_whose_a_topic_is_stays() -> None:
    """The caller is not asked again: what was found out about it is carried over."""
    mine: dict[str, Any] = {"share": "identity", "forward": {"headers": ["Authorization"]}}
    found = fate({"/t/{x}": mine}, {"/t/{x}": {**mine, "description": "x"}})
    assert isinstance(found, Kept) and found.name.identity.headers == (("Authorization", "me"),)


def test_the_end_is_over_if_it_is_defined_otherwise() -> None:
    before: dict[str, Any] = {"/t/{x}": {"poll": {"until": "done"}}}
    assert isinstance(fate(before, {"/t/{x}": {}}, has_ended=True), Renewed)
    assert isinstance(fate(before, {"/t/{x}": {**before["/t/{x}"], "description": "x"}}, has_ended=True), Kept)
    assert isinstance(fate(before, {"/t/{x}": {}}), Kept)


def refusal_code(refusal: Refusal | None) -> str | None:
    return None if refusal is None else refusal.code


def test_clients_are_judged_by_how_they_listen() -> None:
    entry = Generation(config({"/t": {"transports": ["sse", "long_poll"], "emit": ["merge"]}})).entries["/t"]
    assert refusal_code(refusal_of(entry, "sse", "merge")) is None
    assert refusal_code(refusal_of(entry, "long_poll", None)) is None, "who waits for the document has no mode"
    assert refusal_code(refusal_of(entry, "websocket", "merge")) == "transport_not_offered"
    assert refusal_code(refusal_of(entry, "sse", "patch")) == "bad_request"


@pytest.mark.parametrize(
    ("sections", "keys"),
    [
        ({}, []),
        ({"server": {"heartbeat": "30s", "limits": {"topics": 1}}}, []),
        ({"server": {"listen": "127.0.0.1:1"}}, [("server", "listen")]),
        ({"server": {"admin": {"listen": "127.0.0.1:1"}}}, [("server", "admin", "listen")]),
        ({"store": {"kind": "redis", "url": "redis://r"}}, [("store",)]),
    ],
)
def test_what_a_process_has_taken_hold_of_cannot_change(sections: dict[str, Any], keys: list[Any]) -> None:
    before, after = config({"/t": {}}), config({"/t": {}}, **sections)
    found = fixed_keys(before, after)
    assert [finding.path for finding in found] == keys
    assert all("restart" in finding.message for finding in found)
