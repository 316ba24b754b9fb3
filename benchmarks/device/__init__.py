"""The device that a figure was measured on, and the energy it used: read from files only.

Every reader takes the folder under which ``proc``, ``sys`` and ``etc`` are found, so that a tree
recorded on a board reads the same elsewhere. What cannot be read is None, never a guess.
"""
