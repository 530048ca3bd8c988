"""Live interfaces: what there is to know of them, and how they are listened to."""

from hbids.capture.live.filter import compile_filter
from hbids.capture.live.interface import CannotListen, Interface, Standing
from hbids.capture.live.portable import LACKS, PortableSource
from hbids.capture.live.tap import Tap, tap_of

__all__ = ["LACKS", "CannotListen", "Interface", "PortableSource", "Standing", "Tap", "compile_filter", "tap_of"]
