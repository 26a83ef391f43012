"""What operators see and change: the admin listener, and what answers at each of its paths."""
