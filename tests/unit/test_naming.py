"""What a topic is called, and how values are written into other places."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate.errors import BadRequest, NoSuchTopic
from pushgate.naming import (
    MAX_KNOWN_LENGTH,
    MAX_KNOWN_PATHS,
    MAX_QUERY_FIELDS,
    Router,
    Template,
    canonical_name,
    decode_path,
    decode_query,
    encode_segment,
    fill_header,
    fill_path,
    fill_text,
    is_safe_segment,
    placeholders,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
segments = texts.filter(is_safe_segment)


@pytest.mark.parametrize(
    ("raw", "decoded"),
    [
        ("/a", ("a",)),
        ("/a/b", ("a", "b")),
        ("/%61/b%20c", ("a", "b c")),
        ("/%C3%BC", ("ü",)),
        ("/a+b", ("a+b",)),
        ("/a%2Bb", ("a+b",)),
        ("/%2525", ("%25",)),
        ("/...", ("...",)),
        ("/a;b=c,d", ("a;b=c,d",)),
        ("/a%3Fb%23c", ("a?b#c",)),
    ],
)
def test_a_path_is_decoded_once(raw: str, decoded: tuple[str, ...]) -> None:
    """Segment by segment; what was decoded is never decoded again."""
    assert decode_path(raw) == decoded


@pytest.mark.parametrize(
    "raw",
    [
        *("", "a", "/", "//", "/a/", "//a", "/a//b", "/.", "/..", "/%2e", "/%2E%2e", "/a/../b"),
        *("/a%2fb", "/a%5cb", "/a\\b", "/%00", "/%0a", "/%7f", "/a%1Fb"),
        *("/%", "/%4", "/%zz", "/%ff", "/%ed%a0%80", "/%c0%af"),
    ],
)
def test_what_cannot_be_a_name(raw: str) -> None:
    """Empty segments, dot segments in any spelling, encoded slashes, control characters, broken encodings."""
    with pytest.raises(NoSuchTopic):
        decode_path(raw)


@given(st.lists(segments, min_size=1, max_size=4))
def test_a_canonical_name_reads_as_itself(names: list[str]) -> None:
    """Encoding and decoding a path are each other's inverse, so a topic has one name."""
    name = canonical_name(names, {})
    assert decode_path(name) == tuple(names)
    assert canonical_name(decode_path(name), {}) == name
    assert name.isascii() and urlsplit(name).path == name


def test_a_query_is_part_of_the_name() -> None:
    """Sorted by name and encoded in one way."""
    assert canonical_name(["t"], {"b": "ü &", "a": ""}) == "/t?a=&b=%C3%BC%20%26"


@pytest.mark.parametrize(
    ("raw", "query"),
    [
        ("", {}),
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=b+c%2Bd", {"a": "b c+d"}),
        ("a", {"a": ""}),
        ("a=&b", {"a": "", "b": ""}),
        ("a=1;b=2", {"a": "1;b=2"}),
    ],
)
def test_a_query_is_read_as_a_form(raw: str, query: dict[str, str]) -> None:
    """As HTML forms write it: a plus is a space, and only ``&`` separates."""
    assert decode_query(raw) == query


@pytest.mark.parametrize(
    "raw", ["a=1&a=1", "a=1&%61=2", "a=%ff", "&".join(f"a{n}=1" for n in range(MAX_QUERY_FIELDS + 1))]
)
def test_a_query_that_is_refused(raw: str) -> None:
    """A repeated name, bytes that are not UTF-8, more parameters than any route lists."""
    with pytest.raises(BadRequest):
        decode_query(raw)


@given(segments, segments)
def test_a_value_stays_in_its_segment(one: str, other: str) -> None:
    """Whatever a value holds, the path has as many segments as its template and says nothing else."""
    path = fill_path("/api/{a}/x-{b}.json", {"a": one, "b": other})
    assert [unquote(segment) for segment in path.split("/")] == ["", "api", one, f"x-{other}.json"]
    assert not set(path) & set("?# \\") and path.isascii()


def test_the_template_keeps_what_is_encoded() -> None:
    """Literal text is encoded where it must be; percent signs in it are taken as encoded already."""
    assert fill_path("/a b/%20/ü/{x}", {"x": "%20"}) == "/a%20b/%20/%C3%BC/%2520"


def test_other_braces_are_literal() -> None:
    """Only ``{name}`` is a placeholder; GraphQL and JSON keep their braces."""
    assert fill_text('{"query": "{ a(id: {id}) }"}', {"id": "7"}) == '{"query": "{ a(id: 7) }"}'
    assert placeholders("{a}-{b_1} {} { c } {1}") == {"a", "b_1"}


def test_a_value_is_not_filled_again() -> None:
    """A value that looks like a placeholder is only a value."""
    assert fill_text("{a} {b}", {"a": "{b}", "b": "{a}"}) == "{b} {a}"


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\0b", "\x7f", "ü"])
def test_a_value_stays_in_its_header(value: str) -> None:
    """A value that would start another line, or that no header can carry, is refused."""
    with pytest.raises(BadRequest):
        fill_header("x-{a}", {"a": value})


def test_a_header_takes_what_it_can() -> None:
    """Spaces and tabs are harmless."""
    assert fill_header("x-{a}", {"a": "b c\td"}) == "x-b c\td"


def find(router: Router[str], path: str) -> tuple[str, dict[str, str]] | None:
    return router.find(decode_path(path))


def router_of(*paths: str, **patterns: str | tuple[str, ...]) -> Router[str]:
    return Router((Template.parse(path, patterns), path) for path in paths)


def test_a_literal_segment_beats_a_parameter() -> None:
    """The leftmost literal decides, in whatever order the routes stand."""
    paths = ["/{a}/{b}", "/{a}/x", "/x/{b}", "/x/x"]
    for order in (paths, paths[::-1]):
        router = router_of(*order)
        assert find(router, "/x/x") == ("/x/x", {})
        assert find(router, "/x/y") == ("/x/{b}", {"b": "y"})
        assert find(router, "/y/x") == ("/{a}/x", {"a": "y"})
        assert find(router, "/y/y") == ("/{a}/{b}", {"a": "y", "b": "y"})
        assert find(router, "/y") is None


def test_patterns_match_as_a_whole() -> None:
    """A pattern must fit all of the value, line ends included; a list is its values and nothing else."""
    router = router_of("/n/{n}", "/v/{v}", n="[0-9]+|x", v=("a.b", "c"))
    assert find(router, "/n/12") == ("/n/{n}", {"n": "12"})
    assert find(router, "/n/x") == ("/n/{n}", {"n": "x"})
    assert find(router, "/v/a.b") == ("/v/{v}", {"v": "a.b"})
    for path in ("/n/12a", "/n/a12", "/n/xx", "/v/aXb", "/v/d"):
        assert find(router, path) is None


def test_a_parameter_may_be_part_of_a_segment() -> None:
    """Text around a parameter is literal, whatever regular expressions it looks like."""
    router = router_of("/{a}.json", "/v{major}.{minor}+")
    assert find(router, "/x.json") == ("/{a}.json", {"a": "x"})
    assert find(router, "/xjson") is None
    assert find(router, "/v1.2+") == ("/v{major}.{minor}+", {"major": "1", "minor": "2"})


@pytest.mark.parametrize("path", ["/x/..", "/x/.", "/x/a%2Fb", "/x/"])
def test_no_pattern_lets_a_dot_segment_in(path: str) -> None:
    """A pattern that fits ``..``, a slash or nothing at all does not make them values."""
    with pytest.raises(NoSuchTopic):
        find(router_of("/x/{a}", a=".*"), path)
    assert find(router_of("/x{a}", a=".*"), "/x..") is None


@given(segments)
def test_segments_survive_the_wire(segment: str) -> None:
    """What is written into a URL is read out of it."""
    assert unquote(encode_segment(segment)) == segment


class Counting(Router[str]):
    """A router that counts how often it had to look."""

    looks = 0

    def find(self, segments: Sequence[str]) -> tuple[str, dict[str, str]] | None:
        self.looks += 1
        return super().find(segments)


def counting() -> Counting:
    return Counting([(Template.parse("/rows/{id}", {}), "/rows/{id}")])


def test_a_path_is_looked_up_once() -> None:
    """Who asks for it gets parameters that are their own: what one does to them, nobody else sees."""
    router = counting()
    target, values = router.resolve("/rows/caf%C3%A9")
    assert (target, values) == ("/rows/{id}", {"id": "caf\u00e9"})
    values["id"] = "spoilt"
    assert router.resolve("/rows/caf%C3%A9") == ("/rows/{id}", {"id": "caf\u00e9"})
    assert router.looks == 1
    assert router.resolve("/rows/caf\u00e9") == ("/rows/{id}", {"id": "caf\u00e9"})
    assert router.looks == 2, "another spelling is another path"


def test_a_path_that_leads_nowhere_is_not_remembered() -> None:
    """Whoever makes paths up finds nothing, each time anew, and fills no memory."""
    router = counting()
    for path in ("/nowhere", "/rows/a%2Fb"):
        for _ in range(2):
            with pytest.raises(NoSuchTopic):
                router.resolve(path)
    assert router.looks == 2, "the second one is not even looked for"
    assert router._recall.cache_info().currsize == 0


def test_what_a_router_remembers_is_bounded() -> None:
    """So many paths, the latest, and none that is long."""
    router = counting()
    for n in range(MAX_KNOWN_PATHS + 1):
        router.resolve(f"/rows/{n}")
    assert router._recall.cache_info().currsize == MAX_KNOWN_PATHS
    before = router.looks
    router.resolve(f"/rows/{MAX_KNOWN_PATHS}")
    assert router.looks == before
    router.resolve("/rows/0")
    assert router.looks == before + 1, "it was forgotten first"
    long = "/rows/" + "x" * MAX_KNOWN_LENGTH
    for _ in range(2):
        assert router.resolve(long) == ("/rows/{id}", {"id": "x" * MAX_KNOWN_LENGTH})
    assert router.looks == before + 3
