"""``python -m benchmarks.flood``: what hbids holds, and still finds, under floods made against its tables."""

from __future__ import annotations
