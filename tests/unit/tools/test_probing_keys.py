"""The key of an array: unique, and staying with its item while others come and go."""

from __future__ import annotations

from typing import Any

from pushgate.tools.probing.keys import find_key

Items = list[dict[str, Any]]


def quake(number: int, *, magnitude: int = 3) -> dict[str, Any]:
    return {"magnitude": magnitude, "id": f"us{number}", "place": f"{number} km off", "url": f"/event/{number}"}


def numbered(items: Items) -> Items:
    """The items with the trap: a number that says where each stands."""
    return [{"row": at, **item} for at, item in enumerate(items, start=1)]


def test_a_member_called_like_a_key_is_preferred() -> None:
    """Of several members that are unique and stay, the one called id is the key."""
    key = find_key([[[quake(2), quake(1)], [quake(3), quake(2), quake(1)]]])
    assert key.names == ("id",)
    assert "come and go" in key.reason


def test_a_number_that_counts_the_rows_is_a_trap() -> None:
    """Rows that are numbered from the top are numbered anew when one is inserted there: the number is no key."""
    versions = [numbered([quake(2), quake(1)]), numbered([quake(3), quake(2), quake(1)])]
    key = find_key([versions])
    assert key.names == ("id",)
    assert key.traps == ("row",)


def test_rows_that_have_nothing_but_their_number_have_no_key() -> None:
    """Nothing is recommended rather than a number that names another thing tomorrow."""
    versions = [[{"id": at, "load": load} for at, load in enumerate(loads)] for loads in ([5, 5, 9], [7, 5, 5, 9])]
    key = find_key([versions])
    assert key.names is None
    assert key.traps == ("id",)
    assert "where an item stands" in key.reason


def test_an_id_that_counts_the_rows_has_the_benefit_of_the_doubt() -> None:
    """Comments 1, 2, 3 are often just that; better such an id, with a warning, than a measurement that is unique."""
    values = [[{"id": 1, "v": n}, {"id": 2, "v": 7}] for n in (10, 11, 12)]
    appended = [[{"id": at, "title": f"t{at}"} for at in range(1, count)] for count in (4, 5, 7)]
    silent = [[{"id": at, "v": n} for at in range(5)] for n in (1, 2, 3)]
    for versions in (values, appended, silent):
        key = find_key([versions])
        assert (key.names, key.traps) == (("id",), ())
        assert "counts the rows as well" in key.reason


def test_a_trap_is_seen_even_if_its_numbers_are_in_no_order() -> None:
    """What wanders from item to item is found out by the values that only one item has."""
    names = ["north", "east", "south", "west"]

    def rows(slots: list[int]) -> Items:
        return [{"id": slot, "name": name, "url": f"/{name}"} for name, slot in zip(names, slots, strict=True)]

    key = find_key([[rows([7, 3, 12, 1]), rows([3, 12, 1, 7]), rows([12, 1, 7, 3])]])
    assert key.names == ("name",)
    assert "id" in key.traps


def test_an_identifier_that_happens_to_be_numeric_is_a_key() -> None:
    """Numbers that do not begin anew at every row that comes or goes are names."""
    versions = [[{"id": number, "title": f"t{number}"} for number in range(first, first - 4, -1)] for first in (9, 11)]
    assert find_key([versions]).names == ("id",)


def test_a_measurement_is_no_key() -> None:
    """Values that are unique by accident and all new in the next answer tell nothing apart."""
    versions = [[{"load": load + shift} for load in (100, 230, 570)] for shift in (0, 7, 19)]
    key = find_key([versions])
    assert key.names is None
    assert "new in each answer" in key.reason


def test_decimal_numbers_are_measured_not_named() -> None:
    """Not even a position that never changes is a key: 40.7506 is a number that somebody measured."""
    assert find_key([[[{"lat": 40.75}, {"lat": 40.76}], [{"lat": 40.75}, {"lat": 40.77}]]]).names is None
    assert find_key([[[{"lat": "40.75"}, {"lat": "40.76"}]]]).names is None


def test_two_members_are_a_key_together() -> None:
    """Where no single member is unique, two may be: a server within its proxy."""
    rows = [("web", "a"), ("web", "b"), ("db", "a"), ("db", "b")]
    versions = [[{"px": px, "sv": sv, "up": up} for px, sv in rows] for up in (1, 2, 3)]
    assert find_key([versions]).names == ("px", "sv")


def test_a_key_must_be_in_every_item() -> None:
    """One item without the member, and it names nothing."""
    versions = [[{"id": "a", "code": "x"}, {"code": "y"}], [{"id": "a", "code": "x"}, {"code": "y"}]]
    assert find_key([versions]).names == ("code",)


def test_numbers_and_texts_are_different_keys() -> None:
    """1, "1" and true are three values; true is none that names something."""
    versions = [[{"id": 1, "n": 1}, {"id": "1", "n": 2}], [{"id": 1, "n": 1}, {"id": "1", "n": 2}]]
    assert find_key([versions]).names == ("id",)
    assert find_key([[[{"id": True}, {"id": False}]]]).names is None


def test_an_array_of_one_item_goes_by_the_name_alone() -> None:
    """Nothing can be proven of a key that never had to tell two items apart, and the reason says so."""
    key = find_key([[[{"load": 3, "unitId": "a"}], [{"load": 4, "unitId": "a"}], []]])
    assert key.names == ("unitId",)
    assert "never two items" in key.reason
    assert find_key([[[{"load": 3}]]]).names is None


def test_what_never_changed_is_not_proven() -> None:
    """A key of an array that stood still while it was watched is offered with that reservation."""
    key = find_key([[[quake(1), quake(2)]]])
    assert key.names == ("id",)
    assert "not proven" in key.reason


def test_swapped_values_do_not_discredit_a_name() -> None:
    """Two items that happen to exchange their measurements are still the same items."""
    versions = [[{"Key": "a", "Val": one}, {"Key": "b", "Val": two}] for one, two in ((1, 2), (2, 1), (5, 2), (5, 7))]
    assert find_key([versions]).names == ("Key",)


def test_arrays_at_the_same_place_of_several_items_share_a_key() -> None:
    """The lines of two orders are looked at together: a key of one that is not unique in the other is none."""
    one = [[{"sku": "x", "line": 1}, {"sku": "y", "line": 2}]]
    other = [[{"sku": "x", "line": 7}, {"sku": "x", "line": 9}]]
    assert find_key([one, other]).names == ("line",)


def test_names_that_end_in_numbers_are_names() -> None:
    """eth0, eth1, eth2: they count, and name what they name all the same."""
    assert find_key([[[{"port": f"eth{n}", "up": up} for n in range(3)] for up in (1, 2)]]).names == ("port",)


def test_what_would_do_as_well_is_told() -> None:
    """Other members that are called like a key and passed all tests, so that arrays can be given a common one."""
    items = [{"IncidentId": f"i{n}", "UniqueId": f"u{n}", "Name": f"n{n}"} for n in range(3)]
    assert find_key([[items, items[1:]]]).fits == (("IncidentId",), ("UniqueId",))
