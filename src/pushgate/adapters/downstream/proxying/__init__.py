"""``proxy:`` at work: a request that is no topic's, streamed to an upstream, and its answer streamed back."""
