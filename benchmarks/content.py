"""What a capture holds, by which a program's answer is judged."""

from dataclasses import dataclass

__all__ = ["Content"]


@dataclass(frozen=True, slots=True)
class Content:
    """Every flow is one TLS session without heartbeats. ``bytes`` counts frames, without the file's headers."""

    path: str
    packets: int
    bytes: int
    flows: int
