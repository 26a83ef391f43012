"""What pushgate costs, beside real peers: ``python -m bench``. Ratios of one run count, times do not."""
