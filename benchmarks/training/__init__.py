"""Speed of training against other libraries; ``python -m dspctl.benchmarks.training``."""
