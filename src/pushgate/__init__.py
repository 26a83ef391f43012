"""
pushgate polls HTTP backends that nobody can change and pushes what changed.

    upstream ──poll──▶ decode ▶ ignore ▶ select ▶ diff ──change──▶ HISTORY ──▶ encode once ──▶ fan-out ──▶ subscribers

Two halves meet only at the history. The publishing half (``poller``, ``topic``, ``scheduling``, ``adapters.upstream``)
does not know who listens; the delivering half (``hub``, ``wire``, ``adapters.downstream``) does not know where changes
come from. A *poll becomes a change* in ``publishing.py``; a *change becomes bytes* in ``wire.py``.

A subscriber is a cursor and a transport. There is no queue per client: whoever cannot be written to keeps only a
cursor, and "slow", "reconnecting" and "long poll" are one case, catching up from the history (``history.replay``).

The package reads top to bottom in the ORDER list of ``tests/test_layering.py``: a module imports only modules above
it. Everything before ``clock`` is pure: no async, no clock, no chance, no sockets, no logging.
"""

__version__ = "0.1.0"
