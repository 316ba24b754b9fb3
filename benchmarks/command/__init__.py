"""The bundle's own static C program as a measuring device: nothing of Python is in its figures."""
