"""How living objects are shown to Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from pushgate.exposition import Sighting
from pushgate.metrics import Metrics


def test_a_scrape_has_the_time_that_topics_have_spent_until_then() -> None:
    """A topic at which nothing happens tells it when it is looked at, so all are, before the ledgers are read."""
    metrics = Metrics()

    def look() -> Iterator[Sighting]:
        metrics.ledger("/t").seconds["live"] = 60.0
        yield Sighting("/t", "live", None)

    metrics.watch_topics(look)
    assert 'pushgate_topic_seconds_total{route="/t",state="live"} 60.0' in metrics.text().decode()
