"""Who may listen: how clients prove who they are, and what they may have then."""
