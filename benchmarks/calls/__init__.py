"""Timing calls in this process: back to back, and in a control loop."""
