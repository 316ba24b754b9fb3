"""One module per foreign runtime, each a runner that follows the same protocol."""
