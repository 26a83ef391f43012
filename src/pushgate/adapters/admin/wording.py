"""What the configuration says of routes and upstreams, in the words in which the dashboard tells it."""

from __future__ import annotations

from ...config.poll import Poll
from ...config.routes import Route, View
from ...config.upstreams import Budget
from ...quantities import duration_text


def pace_words(poll: Poll) -> str:
    """Say when topics are polled: ``every 2s``, ``cron 2-57/5 * * * * in Europe/Paris``, ``adaptive, 1s to 60s``."""
    if poll.cron is not None:
        words = f"cron {poll.cron}" + (f" in {poll.timezone}" if poll.timezone else "")
    elif poll.adaptive is not None:
        words = f"adaptive, {duration_text(poll.adaptive.min)} to {duration_text(poll.adaptive.max)}"
    else:
        words = f"every {duration_text(poll.every)}"
    if poll.active is not None:
        words += f", {poll.active}"
    return f"{words}, always" if poll.while_ == "always" else words


def share_words(route: Route) -> str:
    """Say who sees the same document."""
    return route.share if isinstance(route.share, str) else f"by {', '.join(route.share.claims)}"


def part_words(view: View) -> str:
    """Say which part of the other route's document a view shows."""
    if view.item is not None:
        return f"item {view.item}"
    return f"pointer {view.pointer or '(the whole)'}" if view.pointer is not None else f"select {view.select}"


def budget_words(budget: Budget) -> str | None:
    """Say what an upstream can bear: ``20/s and 50000/d, 8 at once``; None if nothing is said of it."""
    parts = [" and ".join(map(str, budget.rate))] if budget.rate else []
    if budget.concurrency is not None:
        parts.append(f"{budget.concurrency} at once")
    return ", ".join(parts) or None
