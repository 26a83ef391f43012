"""
Documents: when two are the same, what lies between them, whether to believe it, and the log of what they were.

Read top to bottom: equality, patching, pointers, keys, alignment, diffing, quieting, ordering, guarding, selecting,
changes, history.
"""
