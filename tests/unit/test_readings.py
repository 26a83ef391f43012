"""All that a path may mean, and what is therefore passed on: whoever reads it, no rule is got round."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate.errors import BadRequest, NoSuchTopic
from pushgate.readings import Territory, readings

ENTRIES = ["/", "/admin", "/admin/public files"]
ROUTES = ["/quotes/{symbol}", "/a/{b}.json", "/one"]
PLACES = Territory(ENTRIES, routes=ROUTES, prefix="/-/")


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        ("/", "/"),
        ("/quotes", "/"),
        ("/quotes/EUR/x", "/"),
        ("/ones", "/"),
        ("/admin", "/admin"),
        ("/admin/", "/admin"),
        ("/admins", "/"),
        ("/admin/x%2Fy", "/admin"),
        ("/admin/public%20files/x", "/admin/public files"),
        ("/x//y;v=1/./z", "/"),
        ("/caf%E9/caf%C3%A9", "/"),
        ("/x/../y", "/"),
    ],
)
def test_a_path_belongs_to_the_longest_entry_above_it(path: str, entry: str) -> None:
    """Whole segments count, decoded."""
    assert PLACES.find(path) == entry


def test_a_path_may_belong_to_no_entry() -> None:
    assert Territory(["/admin"], routes=[], prefix="/-/").find("/x") is None


@pytest.mark.parametrize(
    "path",
    [
        *("/quotes/EUR", "/quotes/no-such", "/QUOTES/EUR", "/quotes/EUR/", "//quotes///EUR", "/quotes/./EUR"),
        *("/x/../quotes/EUR", "/quotes/x/../EUR", "/x/%2e%2e/quotes/EUR", "/x%2f..%2fquotes/EUR", "/x/..;/quotes/EUR"),
        *("/quotes%2fEUR", "/quotes/a%2fb", "/quotes%252fEUR", "/quotes\\EUR", "/quotes%5cEUR", "/quotes;v=1/EUR"),
        *("/%71uotes/EUR", "/%2571uotes/EUR", "/a/b.json", "/a/.JSON.json", "/one", "/One", "/one;"),
        *("/quotes//../EUR", "/quotes/;/../EUR", "/quotes/%2f../EUR", "/-//../x"),  # two slashes, one of which goes
        *("/a%2fb/%2e%2e/one", "/a%5cb/.%2e/one", "/a%252fb/%252e%252e/one", "/a%2fb/%2e%2e%3b/one", "/a%2fb/.%2e/-/x"),
        *("/one%3fx", "/one%23x", "/one%253fx", "/one%3f/x", "/quotes/EUR%23/x"),
        *("/one.", "/one%20", "/one.%20.", "/quotes./EUR", "/quotes.%5cEUR", "/x/..%20/one", "/one.;v=1"),
        *("/%ef%bd%8fne", "/quotes%ef%bc%8fEUR", "/x/%e2%80%a5/one", "/x/%ef%bc%8e%ef%bc%8e/one"),
        *("/-/", "/-", "/%2d/x", "/x/../-/x", "//-//x"),
    ],
)
def test_what_may_mean_a_topic_is_not_passed_on(path: str) -> None:
    """Its parameters do not matter, nor how often or how oddly it is encoded, nor what a backend makes of it."""
    with pytest.raises(NoSuchTopic):
        PLACES.find(path)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/..", "leads out"),
        ("/x/../../y", "leads out"),
        ("/%2e%2e/x", "leads out"),
        ("/x/..%2f..%2fy", "leads out"),
        ("/..\\x", "leads out"),
        ("/x%00", "control"),
        ("/x%0d%0aY: z", "cannot|can hold"),
        ("/x%0d%0a", "control"),
        ("/x%250a", "control"),
        ("/%c0%ae%c0%ae/x", "overlong"),
        ("/x%c0%afy", "overlong"),
        ("/%e0%80%af", "overlong"),
        ("/100%", "percent"),
        ("/caf\xe9", "percent"),
        ("/a b", "percent"),
        ("x", "slash"),
        ("/%25252561", "many times"),
        ("/public/..%2fadmin", "several ways"),
        ("/public/..;/admin/x", "several ways"),
        ("/ADMIN/x", "several ways"),
        ("/x//../admin", "several ways"),
        ("/a%2fb/%2e%2e/admin", "several ways"),
        ("/admin%3fx", "several ways"),
        ("/admin./x", "several ways"),
        ("/%ef%bd%81dmin/x", "several ways"),
        ("/x;" + "y" * 5000, "at most"),
        ("/admin%2fx/../../y", "several ways|leads out"),
    ],
)
def test_what_nobody_can_place_is_refused(path: str, words: str) -> None:
    """Each reader would apply other rules to it."""
    with pytest.raises(BadRequest, match=words):
        PLACES.find(path)


BESIDE = Territory(["/"], routes=["/q/{a}", "/q/secret", "/{a}/{b}", "/q/{a}.json", "/a/{b}/{c}"], prefix="/-/")


@pytest.mark.parametrize(
    ("path", "route"),
    [("/q/x", "/q/{a}"), ("/q/secret", "/q/secret"), ("/x/%C3%A9;v=1", "/{a}/{b}"), ("/q/x.json", "/q/{a}.json")],
)
def test_a_topics_own_path_belongs_to_an_entry_too(path: str, route: str) -> None:
    """For a plain GET that its route has no answer to, and that it lets go on."""
    assert BESIDE.find(path, route=route) == "/"


@pytest.mark.parametrize(
    ("path", "route"),
    [
        *[(path, "/q/{a}") for path in ("/q/Secret", "/q/secret;v=1", "/q/%2573ecret", "/q/secret%3fx", "/q/secret.")],
        *[(path, "/{a}/{b}") for path in ("/q;v=1/secret", "/q;/x", "/Q/x", "/%2571/x", "/-;/x", "/a/b%252fc")],
        *[(path, "/q/{a}") for path in ("/q/x.json;y", "/q/x.json%20")],
    ],
)
def test_a_topics_own_path_is_not_passed_on_if_it_may_mean_another_route(path: str, route: str) -> None:
    """Whose rules nobody has looked at: a parameter that a backend reads otherwise is no way round that route."""
    with pytest.raises(NoSuchTopic):
        BESIDE.find(path, route=route)


@given(st.text("aAb/.%25;\\fFcC0 eE", max_size=20).map(lambda text: f"/{text}"))
def test_no_reading_has_empty_or_dot_segments_left(path: str) -> None:
    """Whatever is written, it is refused or understood; nothing else happens."""
    try:
        found = readings(path)
    except BadRequest:
        return
    assert found
    for segments in found:
        assert "" not in segments
        assert all("\x00" not in segment for segment in segments)


@given(st.sampled_from(["/quotes/EUR", "/one", "/a/x.json"]), st.data())
def test_no_spelling_of_a_topic_is_passed_on(path: str, data: st.DataObject) -> None:
    """Each character may be encoded, each slash doubled or turned, each letter large, in any mixture."""

    def spell(character: str) -> str:
        ways = [character, character.upper(), f"%{ord(character):02x}", f"%25{ord(character):02X}"]
        if character == "/":
            ways += ["//", "\\", "/./", "/x/../", ";v=1/", "/;/", "/x//../", "/y%2fz/%2e%2E/", "./", "%20/"]
        return data.draw(st.sampled_from(ways))

    with pytest.raises((NoSuchTopic, BadRequest)):
        PLACES.find("/" + "".join(map(spell, path[1:])))
