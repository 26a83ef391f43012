"""
What the legacy backend knows, as a function of time and a seed.

Pure: no clock, no chance, no sockets. ``at`` is seconds since the backend's world began (06:00 on ``BIRTH``), so the
same seed and the same moment always give the same answer, and nothing has to be remembered between two requests.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

BIRTH = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)

# Departures: one every 10 s, on the board for the last two minutes before it leaves; each 2 s something happens to one.
DEPARTURE_EVERY, SHOWN_FOR, TICK, MAX_DELAY = 10, 120, 2, 60
LINES = {"2": "Harbour", "5": "University", "11": "Airport", "14": "Old Town", "N1": "Central Station"}

CURRENCIES = {"EUR": 1.0, "USD": 1.08, "GBP": 0.86}
PRICES = {"ACME": 184.0, "GLOBEX": 62.5, "INITECH": 9.8, "UMBRELLA": 1204.0}

SHOPS = ["harbour", "market", "station"]
SALE_EVERY = 10
OPENED_BEFORE = 600  # the shops have been open for ten minutes when the world begins

HOSTS = ["atlas", "boreas", "castor"]
STATUS_EVERY = 5


@dataclass(frozen=True, slots=True)
class Sale:
    """One row of the daily report."""

    number: int
    second: int
    shop: str
    amount: str


def chance(seed: int, *about: object) -> float:
    """Return a number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.blake2b(repr((seed, *about)).encode(), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48


def clock(at: float) -> str:
    """Return the time of day as a passenger reads it."""
    return f"{BIRTH + timedelta(seconds=int(at)):%H:%M:%S}"


def stamp(at: float) -> str:
    """Return an instant as a machine reads it, to the millisecond."""
    return (BIRTH + timedelta(seconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def departures(at: float, *, seed: int) -> list[dict[str, object]]:
    """List what leaves soon, in the order in which it is expected: items come, change, move and go, every 2 s."""
    oldest = int(at) // DEPARTURE_EVERY - MAX_DELAY // DEPARTURE_EVERY
    numbers = range(oldest, (int(at) + SHOWN_FOR) // DEPARTURE_EVERY + 1)
    delays = dict.fromkeys(numbers, 0)
    platforms = {number: 1 + int(chance(seed, "platform", number) * 8) for number in numbers}
    for tick in range(int(at) // TICK - (SHOWN_FOR + MAX_DELAY) // TICK, int(at) // TICK + 1):
        # Those that were on the board at that moment; the dice choose one of them.
        number = tick * TICK // DEPARTURE_EVERY + 1 + int(chance(seed, "who", tick) * SHOWN_FOR / DEPARTURE_EVERY)
        if number not in delays:
            continue
        if chance(seed, "what", tick) < 0.25:
            platforms[number] = 1 + platforms[number] % 8
        else:
            delays[number] = min(MAX_DELAY, delays[number] + DEPARTURE_EVERY)
    expected = {number: number * DEPARTURE_EVERY + delays[number] for number in numbers}
    shown = sorted(
        (number for number in numbers if expected[number] > at), key=lambda number: (expected[number], number)
    )
    return [departure(number, at, delays[number], platforms[number], seed=seed) for number in shown]


def departure(number: int, at: float, delay: int, platform: int, *, seed: int) -> dict[str, object]:
    """Describe one departure as the board shows it."""
    scheduled = number * DEPARTURE_EVERY
    line = list(LINES)[int(chance(seed, "line", number) * len(LINES))]
    is_boarding = scheduled + delay - at <= 2 * DEPARTURE_EVERY
    return {
        "id": f"D{1000 + number}",
        "line": line,
        "to": LINES[line],
        "scheduled": clock(scheduled),
        "expected": clock(scheduled + delay),
        "platform": platform,
        "status": "boarding" if is_boarding else "delayed" if delay else "on time",
    }


def board(at: float, *, seed: int) -> dict[str, object]:
    """Show the departures as a hall display gets them: wrapped in noise that is new at every request."""
    return {
        "generated_at": stamp(at),
        "hall": "north",
        "rows": departures(at, seed=seed),
        "notice": None if int(at) % 60 < 40 else "Mind the gap.",
    }


def quote(symbol: str, at: float, *, currency: str, seed: int) -> dict[str, object] | None:
    """Tell the price of a share, new every second; ``None`` for a symbol that is not traded."""
    if symbol not in PRICES:
        return None
    second = int(at)
    slow, fast = drift(second / 60, seed, symbol, "slow"), drift(second / 7, seed, symbol, "fast")
    last = PRICES[symbol] * CURRENCIES[currency] * (1 + 0.08 * slow + 0.01 * fast)
    spread = 0.0005 + 0.001 * chance(seed, symbol, "spread", second)
    return {
        "symbol": symbol,
        "currency": currency,
        "bid": round(last * (1 - spread), 2),
        "ask": round(last * (1 + spread), 2),
        "last": round(last, 2),
        "volume": 1000 * second + int(1000 * chance(seed, symbol, "volume", second)),
    }


def drift(position: float, *about: object) -> float:
    """Walk smoothly between one random height in [-1, 1) per whole step."""
    step = int(position)
    before, after = (2 * chance(0, *about, step + i) - 1 for i in (0, 1))
    return before + (after - before) * (position - step)


def sales(at: float, *, seed: int) -> list[Sale]:
    """List the day's sales so far; a new one about every 10 s, and none is ever taken back."""
    rows = []
    for number in range((int(at) + OPENED_BEFORE) // SALE_EVERY + 1):
        second = number * SALE_EVERY - OPENED_BEFORE + int(5 * chance(seed, "second", number))
        if second <= at:
            amount = f"{1 + 90 * chance(seed, 'amount', number) ** 2:.2f}"
            rows.append(Sale(number + 1, second, SHOPS[int(len(SHOPS) * chance(seed, "shop", number))], amount))
    return rows


def report(rows: list[Sale]) -> str:
    """Write the sales as the CSV file that the accountants get."""
    lines = [f"{row.number},{clock(row.second)},{row.shop},{row.amount}\r\n" for row in rows]
    return "sale,time,shop,amount\r\n" + "".join(lines)


def status(at: float, *, seed: int) -> str:
    """Write the machines' status as XML: new every 5 s, under a timestamp that is new at every request."""
    period = int(at) // STATUS_EVERY
    hosts = [
        f'  <host name="{name}"><load>{4 * chance(seed, name, "load", period):.2f}</load>'
        f"<queue>{int(30 * chance(seed, name, 'queue', period))}</queue></host>\n"
        for name in HOSTS
    ]
    return f'<?xml version="1.0"?>\n<status generated="{stamp(at)}">\n{"".join(hosts)}</status>\n'
