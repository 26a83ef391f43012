"""The helper process in which big answers are read: its life as the gateway sees it, and what runs in it."""
