"""Times as people write them; inside, all times are nanoseconds since 1970, UTC."""

from __future__ import annotations

import re

__all__ = ["HEARTBLEED_PUBLIC", "moment_ns"]

HEARTBLEED_PUBLIC = "2014-04-07"
"""The day on which OpenSSL told of CVE-2014-0160."""

_ISO_8601 = re.compile(r"(?:19[7-9]|20\d|21\d|22[0-5])\d-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?Z?")
"""A day, or a time of UTC; in 64 bits the nanoseconds reach to 2262."""


def moment_ns(text: str) -> int | None:
    """An ISO 8601 date or time, always UTC. None if it is none."""
    if not _ISO_8601.fullmatch(text):
        return None
    import numpy as np

    try:
        return int(np.datetime64(text.removesuffix("Z"), "ns").astype(np.int64))
    except ValueError:  # a thirteenth month
        return None
