"""Frames to facts. ``engine`` is the door; ``reference`` and ``native`` are the two engines behind it."""
