"""What can be wrong between an entry of ``proxy:`` and the rest of the file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from urllib.parse import unquote

from ..naming import PLACEHOLDER
from .finding import Finding, did_you_mean
from .gateway import Gateway
from .proxy import Proxy
from .refresh import leads_somewhere


def check_proxy(path: str, proxy: Proxy, gateway: Gateway, routes: Collection[str]) -> Iterator[Finding]:
    """Yield what is wrong with an entry; ``routes`` are all paths of the file, also of entries that are wrong."""
    if PLACEHOLDER.search(path):
        yield Finding((), "takes whatever is below it, and no parameters; leave them out", at_key=True)
    if f"{path}/".startswith(gateway.server.prefix):
        message = f"{gateway.server.prefix} is reserved for pushgate itself; choose another path or `server.prefix`"
        yield Finding((), message, at_key=True)
    twins = (other for other in gateway.proxy if other < path and _folded(other) == _folded(path))
    for twin in twins:
        yield Finding((), f"is {twin} to a server that does not mind the case of letters; name one", at_key=True)
    for key, entries in proxy.refresh.items():
        request = key.partition(" ")[2]
        if not f"{request}/".startswith(path if path == "/" else f"{path}/"):
            yield Finding(("refresh", key), f"is not below {path}, so it never comes here", at_key=True)
        for index, entry in enumerate(entries):
            if complaint := _complaint(entry, gateway, routes):
                yield Finding(("refresh", key, index) if len(entries) > 1 else ("refresh", key), complaint)


def _complaint(entry: str, gateway: Gateway, routes: Collection[str]) -> str | None:
    if "{" in entry:
        return f"`{entry}` holds a parameter, which nothing fills in here; write `*` for any segment"
    if leads_somewhere(entry, gateway, routes):
        return None
    return f"`{entry}` leads to no route{did_you_mean(entry, routes) or '; write the path of a topic, as clients do'}"


def _folded(path: str) -> str:
    return unquote(path).casefold()
