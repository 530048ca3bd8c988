"""Live interfaces: what there is to know of them, and how they are listened to."""

from hbids.capture.live.interface import CannotListen, Interface
from hbids.capture.live.tap import Tap, tap_of

__all__ = ["CannotListen", "Interface", "Tap", "tap_of"]
