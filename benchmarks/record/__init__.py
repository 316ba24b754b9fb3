"""A benchmark's result: what it holds, the machine it names, and its files."""
