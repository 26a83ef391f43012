"""Views: which part of a document each shows, how a part is found, and when it has changed."""

from __future__ import annotations

from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate.config.routes import Route as RouteConfig
from pushgate.config.routes import View
from pushgate.config.upstreams import Upstream
from pushgate.documents.diffing import compare
from pushgate.documents.keys import Keys
from pushgate.errors import BadRequest, PollError
from pushgate.routes import Route
from pushgate.values import ABSENT
from pushgate.views import Item, Part, Parts, Selection, Shelf, Spot, ViewRoute, items_by_text, literal, news_of

UPSTREAMS = {"u": Upstream.model_validate({"url": "http://u.example"})}


def view_of(path: str, *, parent: str = "/stations", of: dict[str, Any] | None = None, **config: Any) -> ViewRoute:
    route = Route(parent, RouteConfig.model_validate({"upstream": "u", "key": "id", **(of or {})}), UPSTREAMS)
    return ViewRoute(path, View.model_validate({"from": parent, **config}), route)


def shown(view: ViewRoute, document: Any, **values: str) -> Any:
    return Parts(document, view.shelf).find(view.part(values))


# Items.

STATIONS = [{"id": "a", "bikes": 1}, {"id": "b", "bikes": 2}]


def test_an_item_is_found_by_its_key() -> None:
    """And whatever is no item of the array is absent: it may come later."""
    view = view_of("/stations/{id}", item="{id}")
    assert shown(view, STATIONS, id="b") is STATIONS[1]
    assert shown(view, STATIONS, id="c") is ABSENT
    assert shown(view, {"a": {"id": "a"}}, id="a") is ABSENT
    assert shown(view, ABSENT, id="a") is ABSENT


@pytest.mark.parametrize(
    ("key", "text"),
    [(1, "1"), (1.0, "1"), (1e3, "1000"), (2.5, "2.5"), (True, "true"), (None, "null"), ("a/b c", "a/b c"), ("", "")],
)
def test_a_key_is_told_by_its_text(key: Any, text: str) -> None:
    """A string is itself; any other scalar is written as JSON writes it, one number always in the same way."""
    item = {"id": key}
    assert items_by_text([item], "id") == {text: item}


def test_a_string_comes_before_a_number() -> None:
    """Where both have the same text, in whatever order they stand."""
    for items in ([{"id": 1}, {"id": "1"}], [{"id": "1"}, {"id": 1}], [{"id": "true"}, {"id": True}]):
        found = items_by_text(items, "id")
        assert [type(item["id"]) for item in found.values()] == [str]


def test_the_first_of_two_items_with_one_key_is_shown() -> None:
    """Keys that are not unique are no reason to show nothing, whether all are strings or not."""
    for key in ("a", 1):
        items = [{"id": key, "n": 1}, {"id": key, "n": 2}]
        assert items_by_text(items, "id") == {str(key): items[0]}


def test_what_has_no_key_is_no_item() -> None:
    """Rows without the member, with a container in it, or that are no objects cannot be named."""
    items = [{"name": "a"}, {"id": ["a"]}, {"id": {}}, "id", None, ["id"], {"id": "b"}]
    assert items_by_text(items, "id") == {"b": {"id": "b"}}


def test_a_compound_key_is_joined_by_slashes() -> None:
    """No value from a path holds one, so a view's parameters cannot be confused."""
    view = view_of("/servers/{proxy}/{name}", item="{proxy}/{name}", parent="/servers", of={"key": ["proxy", "name"]})
    servers = [{"proxy": "shop", "name": "one"}, {"proxy": "mail", "name": "one"}, {"proxy": "mail", "name": 2}]
    assert shown(view, servers, proxy="mail", name="one") is servers[1]
    assert shown(view, servers, proxy="mail", name="2") is servers[2]
    assert shown(view, servers, proxy="shop", name="2") is ABSENT


def test_items_are_looked_up_where_the_key_is_for() -> None:
    """In the array at the only pointer with a key, in the document itself, or in the items of a feed."""
    nested = view_of("/stations/{id}", item="{id}", of={"key": {"/data/stations": "id"}})
    assert shown(nested, {"data": {"stations": STATIONS}}, id="a") is STATIONS[0]
    assert shown(nested, STATIONS, id="a") is ABSENT
    both = view_of("/stations/{id}", item="{id}", of={"key": {"": "id", "/*/docks": "n"}})
    assert both.shelf == Shelf((), "id")
    feed = view_of("/stations/{id}", item="{id}", of={"key": None, "format": "feed"})
    assert shown(feed, {"title": "t", "items": STATIONS}, id="a") is STATIONS[0]
    several = view_of("/stations/{id}", item="{id}", of={"key": {"/a": "id", "/b": "id"}})
    assert several.shelf is None and shown(several, STATIONS, id="a") is ABSENT


# Pointers.


@pytest.mark.parametrize(
    ("tokens", "part"),
    [
        ("/a", {"b/c": [10, {"~": None}], "0": 5, "": 6}),
        ("/a/b~1c/0", 10),
        ("/a/b~1c/1/~0", None),  # JSON's null is something
        ("/a/0", 5),
        ("/a/", 6),
        ("/a/b~1c/00", ABSENT),
        ("/a/b~1c/-", ABSENT),
        ("/a/b~1c/-1", ABSENT),
        ("/a/b~1c/²", ABSENT),
        ("/a/b~1c/2", ABSENT),
        ("/a/b~1c/" + "9" * 5000, ABSENT),
        ("/a/0/1", ABSENT),
        ("/b", ABSENT),
    ],
)
def test_a_pointer_names_one_place(tokens: str, part: Any) -> None:
    """As RFC 6901 says; what stands nowhere is absent, and null is not."""
    document = {"a": {"b/c": [10, {"~": None}], "0": 5, "": 6}}
    found = shown(view_of("/part", pointer=tokens), document)
    assert found is ABSENT if part is ABSENT else found == part


def test_a_parameter_is_one_token_of_a_pointer() -> None:
    """Whatever it holds, it stays the name of one member."""
    view = view_of("/symbols/{x}", pointer="/by/{x}/price")
    document = {"by": {"a~b": {"price": 1}, "a/b": {"price": 2}, "~1": {"price": 3}}}
    assert [shown(view, document, x=x) for x in ("a~b", "a/b", "~1", "a")] == [1, 2, 3, ABSENT]


# Expressions.


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_parameter_is_a_whole_string_of_an_expression(value: str) -> None:
    """No value can leave its literal: quotes, backticks and backslashes are text like any other."""
    assert jmespath.search(f"[?id=={literal(value)}] | [0].n", [{"id": value, "n": 1}, {"id": "other" + value}]) == 1


def test_an_expression_may_find_nothing() -> None:
    """Null is nothing; an empty list is a list."""
    one = view_of("/stations/{id}", select="[?id=={id}] | [0]")
    assert shown(one, STATIONS, id="a") == STATIONS[0]
    assert shown(one, STATIONS, id="c") is ABSENT
    assert shown(view_of("/stations/{id}", select="[?id=={id}]"), STATIONS, id="c") == []


def test_an_expression_may_fail() -> None:
    """Then whoever asks must know what to make of it."""
    with pytest.raises(PollError, match="select"):
        shown(view_of("/total", select="sum([].bikes)"), [{"bikes": "many"}])


# What is new.


def test_an_unchanged_part_is_the_same_object_in_the_next_version() -> None:
    """That is how a view knows without looking: it holds for items wherever they went, and for members."""
    old: Any = [{"id": n, "load": [n], "name": f"row {n}"} for n in range(50)]
    new: Any = [{"id": n, "load": [n], "name": f"row {n}"} for n in reversed(range(49))]
    new[7]["load"] = [0, 1]
    difference = compare(old, new, keys=Keys.of("id"))
    assert difference is not None
    shelf = Shelf((), "id")
    before, after = Parts(old, shelf), Parts(difference.document, shelf)
    changed = [n for n in range(50) if before.find(Item(str(n))) is not after.find(Item(str(n)))]
    assert changed == [41, 49]


@pytest.mark.parametrize(
    ("part", "others"),
    [(Item("b"), Item("a")), (Spot(("1", "bikes")), Spot(("0",))), (Spot(("1",)), Spot(("0", "bikes")))],
)
def test_only_the_part_that_changed_is_news(part: Part, others: Part) -> None:
    """A change elsewhere in the document is none of the view."""
    after = compare(STATIONS, [{"id": "a", "bikes": 1}, {"id": "b", "bikes": 3}], keys=Keys.of("id"))
    assert after is not None
    shelf = Shelf((), "id")
    old, new = Parts(STATIONS, shelf), Parts(after.document, shelf)
    assert old.find(part) is not new.find(part)
    assert old.find(others) is new.find(others)


def test_news_lead_from_what_was_published_to_what_is_shown() -> None:
    """With the view's own key; what is the same is no news, and neither is what is still missing."""
    keys = Keys.of("id")
    assert news_of(STATIONS, [dict(row) for row in STATIONS], keys=keys) is None
    assert news_of(ABSENT, ABSENT, keys=keys) is None
    came, went = news_of(ABSENT, STATIONS, keys=keys), news_of(STATIONS, ABSENT, keys=keys)
    assert came is not None and (came.document, came.patch) == (STATIONS, ())
    assert went is not None and (went.document, went.patch) == (ABSENT, ())
    news = news_of(STATIONS, [STATIONS[0], {"id": "b", "bikes": 0}], keys=keys)
    assert news is not None
    assert news.patch == ({"op": "replace", "path": "/1/bikes", "value": 0},)


# Names.


def test_a_view_is_named_with_its_parent() -> None:
    """It takes the parent's parameters and query, and may have parameters of its own."""
    listed = {"params": {"city": "[a-z]+"}, "query": {"lang": {"default": "en"}, "_": "drop"}}
    view = view_of("/stations/{city}/{id}", item="{id}", parent="/stations/{city}", of=listed)
    name = view.topic({"city": "paris", "id": "gare du nord"}, {"_": "1"})
    assert name.text == "/stations/paris/gare%20du%20nord?lang=en"
    assert name.parent is not None and name.parent.text == "/stations/paris?lang=en"
    assert view.part(name.values) == Item("gare du nord")
    assert view.template.match(["stations", "PARIS", "1"]) is None
    with pytest.raises(BadRequest):
        view.topic({"city": "paris", "id": "1"}, {"page": "1"})


def test_a_listed_query_parameter_may_choose_the_part() -> None:
    """Then it must be given, or have a default."""
    view = view_of("/one", pointer="/{lang}", of={"query": {"lang": "[a-z]{2}"}})
    assert view.part(view.topic({}, {"lang": "fr"}).values) == Spot(("fr",))
    with pytest.raises(BadRequest, match="needs the query parameter 'lang'"):
        view.topic({}, {})


def test_another_definition_is_another_view() -> None:
    """Of the view or of its parent: cursors of the one mean nothing to the other."""
    definitions = {
        view_of("/one", pointer="/a").definition,
        view_of("/one", pointer="/b").definition,
        view_of("/one", item="/a").definition,
        view_of("/one", pointer="/a", key="id").definition,
        view_of("/one", pointer="/a", of={"select": "data"}).definition,
    }
    assert len(definitions) == 5
    assert view_of("/one", pointer="/a", emit="snapshot").definition in definitions


def test_a_selection_is_made_of_the_values() -> None:
    """The expression is compiled with them, once for each view."""
    part = view_of("/servers/{proxy}", select="[?proxy=={proxy}].name").part({"proxy": "it's"})
    assert isinstance(part, Selection)
    assert part.evaluate([{"proxy": "it's", "name": 1}, {"proxy": "its", "name": 2}]) == [1]
