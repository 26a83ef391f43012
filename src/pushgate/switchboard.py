"""Everything that operators see and change on the admin listener, by path, introduced to what it is about."""

from __future__ import annotations

from collections.abc import Callable

from .adapters.admin.accounts import TopicAccounts
from .adapters.admin.disconnecting import DisconnectSwitch
from .adapters.admin.draining import DrainSwitch
from .adapters.admin.listener import Switch
from .adapters.admin.operators import Operators
from .adapters.admin.pausing import PauseSwitch, ResumeSwitch
from .adapters.admin.refreshing import RefreshSwitch, Resolve
from .adapters.admin.reloading import ReloadSwitch
from .departures import Departures
from .generation import Generation
from .hub import Hub
from .reload import Reloads
from .standstill import Standstill


def switchboard(
    generation: Callable[[], Generation],
    hub: Hub,
    resolve: Resolve,
    standstill: Standstill,
    departures: Departures,
    reloads: Reloads,
) -> dict[str, Switch]:
    """Return all switches. ``generation``: the one in force; ``resolve`` finds topics as clients name them."""
    operators = Operators(lambda: generation().config.server.admin)
    return {
        "/-/topics": TopicAccounts(hub.topics, generation, operators),
        "/-/refresh": RefreshSwitch(hub, resolve, operators),
        "/-/pause": PauseSwitch(standstill, operators),
        "/-/resume": ResumeSwitch(standstill, operators),
        "/-/disconnect": DisconnectSwitch(departures.dismiss, operators),
        "/-/drain": DrainSwitch(departures, operators, window=lambda: generation().config.server.drain.window),
        "/-/reload": ReloadSwitch(reloads.tell, operators),
    }
