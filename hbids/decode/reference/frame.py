"""One captured frame, through all its layers. They are read by hand: an IDS must keep going where a parser library
raises, and must count exactly what it could not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hbids.decode.reference.eapol import read_eapol
from hbids.decode.reference.layers import Found, Fragment, Layer, Next, Step, Walk
from hbids.decode.reference.link import first_layer, read_ethernet, read_mpls, read_ppp, read_pppoe, read_vlan
from hbids.decode.reference.network import read_ip, read_ip_payload
from hbids.decode.reference.transport import read_tcp, read_udp
from hbids.decode.reference.tunnel import read_gre, tunnels_by_port

if TYPE_CHECKING:
    from hbids.config import Limits
    from hbids.decode.reference.fragment import Whole

__all__ = ["FrameReader"]

READERS = {
    Layer.ETHERNET: read_ethernet,
    Layer.VLAN: read_vlan,
    Layer.MPLS: read_mpls,
    Layer.PPPOE: read_pppoe,
    Layer.PPP: read_ppp,
    Layer.IP: read_ip,
    Layer.TCP: read_tcp,
    Layer.UDP: read_udp,
    Layer.GRE: read_gre,
    Layer.EAPOL: read_eapol,
}


class FrameReader:
    """Finds the innermost TCP segment, UDP datagram or EAPOL packet of a frame."""

    def __init__(self, limits: Limits) -> None:
        self._most_layers = limits.layers
        self._tunnels = tunnels_by_port(limits)

    def read(self, link_type: int, frame: bytes) -> Found:
        """What ``frame`` holds, or the name of the drop counter that says why it holds nothing."""
        walk = Walk(self._tunnels)
        return self._walk(walk, first_layer(walk, link_type, frame))

    def resume(self, last: Fragment, whole: Whole) -> Found:
        """Go on behind the IP header of the fragment that made a packet whole."""
        walk = last.walk
        walk.claimed_bytes = whole.length
        walk.macs = bytes(12)
        return self._walk(walk, read_ip_payload(walk, last.key.version, whole.protocol, whole.data))

    def _walk(self, walk: Walk, step: Step) -> Found:
        while isinstance(step, Next):
            walk.layers += 1
            if walk.layers > self._most_layers:
                return "layers_exceeded"
            step = READERS[step.layer](walk, step.data)
        return step
