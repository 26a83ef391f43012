"""
What the command line tools find out: about one poll (``tracing``), a backend (``probing``), a recorded series
(``replaying``), a budget (``planning``). Pure; ``cli`` asks, prints and exits.
"""
