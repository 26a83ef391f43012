"""Where a client is, through proxies that are believed and past everybody who would like to be."""

from __future__ import annotations

import pytest

from pushgate.peers import MAX_HOPS, Client, Peers

PROXIES = Peers(["10.0.0.0/8", "fd00::/8", "203.0.113.7/32"])
NOBODY = Peers([])

PROXY = ("10.0.0.1", 40_000)
CLIENT = "198.51.100.9"


def seen(peers: Peers, peer: object, **fields: str | list[str]) -> Client:
    lines = {name.replace("_", "-"): [value] if isinstance(value, str) else value for name, value in fields.items()}
    return peers.client(peer, "http", lines)


def address(peer: object, **fields: str | list[str]) -> str | None:
    return seen(PROXIES, peer, **fields).address


def test_without_proxies_the_peer_is_the_client() -> None:
    assert seen(NOBODY, ("8.8.8.8", 1)) == Client("8.8.8.8", "http", "8.8.8.8")


@pytest.mark.parametrize("field", ["x_forwarded_for", "forwarded"])
def test_what_an_untrusted_peer_says_counts_for_nothing(field: str) -> None:
    """Anybody can write a header field."""
    said = {field: "1.2.3.4" if field == "x_forwarded_for" else "for=1.2.3.4;proto=https"}
    for peers in (NOBODY, PROXIES):
        assert seen(peers, ("8.8.8.8", 1), **said, x_forwarded_proto="https") == Client("8.8.8.8", "http", "8.8.8.8")


@pytest.mark.parametrize(
    ("said", "client"),
    [
        (CLIENT, CLIENT),
        (f"1.2.3.4, {CLIENT}", CLIENT),  # the first is what the client wrote
        (f"1.2.3.4,{CLIENT},203.0.113.7, 10.9.9.9", CLIENT),  # two proxies of ours
        (f"10.0.0.5, {CLIENT}", CLIENT),  # a client that would like to be a proxy
        (["1.2.3.4", f"{CLIENT}", "10.2.2.2"], CLIENT),  # several lines are one list
        (f"{CLIENT}, , 10.2.2.2,", CLIENT),  # RFC 9110 section 5.6.1: empty members are none
        (f"{CLIENT}:4711", CLIENT),
        ("[2001:db8::9]:4711", "2001:db8::9"),
        ("[2001:db8::9]", "2001:db8::9"),
        ("2001:db8::9", "2001:db8::9"),
        ('"[2001:db8::9]:4711"', "2001:db8::9"),
        ("fe80::9%eth0", "fe80::9"),
        (f"::ffff:{CLIENT}", CLIENT),
        ("", "10.0.0.1"),
        ("10.2.2.2, 10.3.3.3", "10.2.2.2"),  # nobody but proxies
    ],
)
def test_the_last_address_that_is_no_proxy_of_ours(said: str | list[str], client: str) -> None:
    assert address(PROXY, x_forwarded_for=said) == client


@pytest.mark.parametrize(
    "garbage", ["unknown", "_hidden", "1.2.3", "1.2.3.4.5", "[::1", "localhost", "999.1.1.1", "٣.1.1.1", "1.2.3.4 x"]
)
def test_garbage_ends_the_walk_at_the_last_good_address(garbage: str) -> None:
    assert address(PROXY, x_forwarded_for=f"{CLIENT}, {garbage}") == "10.0.0.1"
    assert address(PROXY, x_forwarded_for=f"{CLIENT}, {garbage}, 10.2.2.2") == "10.2.2.2"
    assert address(PROXY, x_forwarded_for=f"{garbage}, {CLIENT}") == CLIENT


def test_a_list_of_ten_thousand_is_cut() -> None:
    """So many proxies are nobody's; only the last of them are looked at."""
    assert address(PROXY, x_forwarded_for=", ".join([CLIENT, *["10.2.2.2"] * 10_000])) == "10.2.2.2"
    assert address(PROXY, x_forwarded_for=", ".join([CLIENT, *["10.2.2.2"] * (MAX_HOPS - 1)])) == CLIENT
    assert address(PROXY, x_forwarded_for=["10.2.2.2"] * 10_000 + [CLIENT]) == CLIENT


@pytest.mark.parametrize(
    ("said", "client"),
    [
        (f"for={CLIENT}", CLIENT),
        (f"for={CLIENT};proto=https;by=10.0.0.1", CLIENT),
        (f'For="{CLIENT}:80" ; Proto=http', CLIENT),
        ('for="[2001:db8::9]:4711"', "2001:db8::9"),
        (f"for=1.2.3.4, for={CLIENT}, for=10.2.2.2", CLIENT),
        (f'for=", for={CLIENT}', CLIENT),  # a quote that a client leaves open swallows nothing
        ("for=unknown", "10.0.0.1"),
        ("for=_secret", "10.0.0.1"),
        ("by=1.2.3.4", "10.0.0.1"),
        ("=;;;=", "10.0.0.1"),
    ],
)
def test_forwarded_says_the_same_in_other_words(said: str, client: str) -> None:
    """RFC 7239."""
    assert address(PROXY, forwarded=said) == client


def test_a_field_that_the_proxy_passes_on_as_the_client_wrote_it() -> None:
    """Proxies add to one of the two; who writes the other is counted with all who do, at the proxy."""
    spoofed = seen(PROXIES, PROXY, x_forwarded_for=CLIENT, forwarded="for=1.2.3.4")
    assert spoofed == seen(PROXIES, PROXY, x_forwarded_for="1.2.3.4", forwarded=f"for={CLIENT}")
    assert spoofed == Client("10.0.0.1", "http", "10.0.0.1")
    assert seen(PROXIES, PROXY, x_forwarded_for=CLIENT, forwarded=f"for={CLIENT}").address == CLIENT


@pytest.mark.parametrize(
    ("fields", "scheme"),
    [
        ({"x_forwarded_for": CLIENT, "x_forwarded_proto": "https"}, "https"),
        ({"x_forwarded_for": CLIENT, "x_forwarded_proto": "HTTPS"}, "https"),
        ({"x_forwarded_for": CLIENT, "x_forwarded_proto": "wss"}, "https"),
        ({"x_forwarded_for": CLIENT, "x_forwarded_proto": "gopher"}, "http"),
        ({"x_forwarded_for": CLIENT}, "http"),
        ({"x_forwarded_proto": "https"}, "https"),
        # One entry for each hop: the client's own is the one of its address.
        ({"x_forwarded_for": f"{CLIENT}, 10.2.2.2", "x_forwarded_proto": "https, http"}, "https"),
        ({"x_forwarded_for": f"1.2.3.4, {CLIENT}", "x_forwarded_proto": "https, http"}, "http"),
        ({"x_forwarded_for": f"{CLIENT}, 10.2.2.2", "x_forwarded_proto": "https"}, "https"),
        ({"forwarded": f"for={CLIENT};proto=https"}, "https"),
        ({"forwarded": f"for={CLIENT};proto=https, for=10.2.2.2;proto=http"}, "https"),
        ({"forwarded": f"for=1.2.3.4;proto=https, for={CLIENT};proto=http"}, "http"),
    ],
)
def test_how_the_client_came(fields: dict[str, str], scheme: str) -> None:
    assert seen(PROXIES, PROXY, **fields).scheme == scheme


@pytest.mark.parametrize("peer", [None, "", "/run/app.sock", (), ("",), ("no address", 1)])
def test_a_peer_without_an_address_is_nowhere(peer: object) -> None:
    """Behind a Unix socket everybody looks the same."""
    assert seen(PROXIES, peer, x_forwarded_for=CLIENT) == Client(None, "http", None)


class TestStandsForOneClient:
    @pytest.mark.parametrize("host", ["127.0.0.1", "10.1.1.1", "192.168.1.1", "100.64.0.1", "::1", "fe80::1%eth0"])
    def test_a_private_peer_may_be_a_proxy_that_many_share(self, host: str) -> None:
        """Whoever says which proxies there are says that all others are none."""
        assert not seen(NOBODY, (host, 1)).stands_for_one_client
        assert seen(Peers(["172.16.0.1/32"]), (host, 1)).stands_for_one_client

    def test_a_proxy_that_does_not_say_for_whom_it_asks_stands_for_many(self) -> None:
        assert not seen(PROXIES, PROXY).stands_for_one_client
        assert not seen(PROXIES, PROXY, x_forwarded_for="10.2.2.2").stands_for_one_client
        assert not seen(PROXIES, PROXY, x_forwarded_for="unknown").stands_for_one_client
        assert seen(PROXIES, PROXY, x_forwarded_for=CLIENT).stands_for_one_client

    def test_whoever_has_one_address_of_ipv6_has_billions(self) -> None:
        first, second = (seen(NOBODY, (host, 1, 0, 0)).counted_as for host in ("2600:1:2:3::1", "2600:1:2:3:ffff::"))
        assert first == second == "2600:1:2:3::/64"
        assert seen(NOBODY, ("2600:1:2:4::1", 1, 0, 0)).counted_as != first

    def test_ipv4_is_counted_as_such_however_it_is_written(self) -> None:
        assert seen(NOBODY, ("::ffff:8.8.8.8", 1, 0, 0)).counted_as == "8.8.8.8"
