"""Settings of a run: all of them, their limits, and the ones that are known to work."""
