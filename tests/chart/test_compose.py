"""The compose file: what Compose would take, locked up as the chart does it, with a gateway.yaml that fits."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from charts import ROOT
from commands import parsed
from pushgate.config import Gateway, load, warnings
from pushgate.quantities import parse_duration

FILE = ROOT / "compose.yaml"
TOKEN = 32 * "x"


@pytest.fixture
def services() -> dict[str, Any]:
    found = yaml.safe_load(FILE.read_text())["services"]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def config() -> Gateway:
    return load(ROOT / "deploy" / "compose" / "gateway.yaml", environ={"ADMIN_TOKEN": TOKEN})


def test_compose_takes_it() -> None:
    """By the Compose specification, in which a key of another name is a mistake."""
    compose_spec = pytest.importorskip("compose_spec", reason="`scripts/setup.sh chart` installs compose-spec")
    text = FILE.read_text()
    read = compose_spec.PyCompose.from_yaml(text)
    read.validate()
    assert sorted(read.service_names()) == ["legacy", "pushgate"]
    with pytest.raises(ValueError, match="readonly"):
        compose_spec.PyCompose.from_yaml(text.replace("read_only", "readonly"))


def test_the_gateway_takes_its_configuration(config: Gateway, services: dict[str, Any]) -> None:
    """Without a warning, with a token and without; what it polls is the other service."""
    assert warnings(config) == []
    assert load(ROOT / "deploy" / "compose" / "gateway.yaml", environ={"ADMIN_TOKEN": ""}).server.admin.token is None
    assert config.upstreams["legacy"].url == "http://legacy:9000"
    assert "legacy" in services


def test_what_is_mounted_is_there(services: dict[str, Any]) -> None:
    """Folders, and none of them to be written to."""
    for service in services.values():
        for volume in service["volumes"]:
            source, _, mode = volume.split(":")
            assert (ROOT / source).is_dir()
            assert mode == "ro"
    assert (ROOT / "deploy" / "compose" / "gateway.yaml").exists()
    assert services["pushgate"]["volumes"][0].split(":")[1] == "/etc/pushgate"


def test_both_are_locked_up(services: dict[str, Any]) -> None:
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_only_this_machine_reaches_it(services: dict[str, Any], config: Gateway) -> None:
    """And what is published is what the gateway listens on."""
    ports = [port.split(":") for port in services["pushgate"]["ports"]]
    assert {address for address, _, _ in ports} == {"127.0.0.1"}
    assert [int(inner) for _, _, inner in ports] == [config.server.listen.port, config.server.admin.listen.port]
    assert "ports" not in services["legacy"]


def test_clients_have_time_to_leave(services: dict[str, Any], config: Gateway) -> None:
    drain = config.server.drain
    assert parse_duration(services["pushgate"]["stop_grace_period"]) >= drain.window + drain.grace + 5


def test_its_health_is_asked_as_the_gateway_is_asked(services: dict[str, Any], config: Gateway) -> None:
    kind, program, *arguments = services["pushgate"]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "pushgate")
    assert parsed(arguments)["admin"] == f"127.0.0.1:{config.server.admin.listen.port}"
