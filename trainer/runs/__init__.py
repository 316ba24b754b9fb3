"""A run on disk: its state, checkpoints, records and figures, and going on with it."""
