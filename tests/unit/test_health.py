"""What probes say of a gateway that comes up, works, drains, or has a part that stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest

from pushgate.adapters.admin.health import Check, Finding, Probes, examine, probes_of
from pushgate.clock import Clock
from pushgate.departures import Departures
from pushgate.vitals import PATIENCE, Vitals


class StillClock(Clock):
    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time


@dataclass
class Leaving:
    """As much of Departures as probes ask for."""

    is_draining: bool = False


class House:
    """A gateway that is up, unless something is changed."""

    def __init__(self) -> None:
        self.clock, self.leaving = StillClock(), Leaving()
        self.vitals = Vitals(self.clock, lambda _: None)
        self.vitals.is_configured = self.vitals.is_listening = self.vitals.is_store_reached = True
        self.vitals.feel("loop")
        self.vitals.feel("heartbeats")
        self.probes: Probes = probes_of(self.vitals, cast(Departures, self.leaving))

    def ask(self, probe: str, *excluded: str) -> Finding:
        return examine(probe, self.probes[f"/{probe}"], excluded=excluded)

    def well(self) -> dict[str, bool]:
        return {probe: self.ask(probe).is_well for probe in ("livez", "readyz", "startupz")}


def test_a_gateway_that_is_up_is_well() -> None:
    house = House()
    assert house.well() == {"livez": True, "readyz": True, "startupz": True}
    assert house.ask("livez").text == "[+]loop ok\n[+]heartbeats ok\n[+]tasks ok\nlivez check passed\n"


@pytest.mark.parametrize("missing", ["is_configured", "is_listening", "is_store_reached"])
def test_a_gateway_that_comes_up_is_alive_and_not_ready(missing: str) -> None:
    house = House()
    setattr(house.vitals, missing, False)
    assert house.well() == {"livez": True, "readyz": False, "startupz": False}


def test_a_gateway_that_drains_gets_nobody_new_and_is_left_alone() -> None:
    """It has been started, and a restart would send its clients away at once."""
    house = House()
    house.leaving.is_draining = True
    assert house.well() == {"livez": True, "readyz": False, "startupz": True}
    assert house.ask("readyz").text == (
        "[+]config ok\n[+]listeners ok\n[+]store ok\n[-]draining failed: clients are asked to leave\n"
        "readyz check failed\n"
    )


@pytest.mark.parametrize("part", ["loop", "heartbeats"])
def test_a_gateway_of_which_a_part_stopped_is_dead(part: str) -> None:
    house = House()
    house.clock.time += PATIENCE + 5
    house.vitals.feel("heartbeats" if part == "loop" else "loop")
    assert house.well() == {"livez": False, "readyz": True, "startupz": True}
    assert f"[-]{part} failed: not for 35s\n" in house.ask("livez").text


def test_a_check_can_be_left_out() -> None:
    """By its name; a name that there is not is told, and changes nothing."""
    house = House()
    house.leaving.is_draining = True
    excluded = house.ask("readyz", "draining")
    assert excluded.is_well and "[+]draining excluded: ok\n" in excluded.text
    mistaken = house.ask("readyz", "drain")
    assert not mistaken.is_well and "warn: there is no check called 'drain'\n" in mistaken.text


def test_a_check_that_is_left_out_is_not_asked() -> None:
    def fail() -> str:
        raise AssertionError

    assert examine("livez", [Check("loop", fail)], excluded=["loop"]).is_well
