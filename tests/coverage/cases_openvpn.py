"""TLS in OpenVPN's control channel, over UDP and over TCP."""

from __future__ import annotations

from functools import partial
from itertools import chain

from scapy.layers.vxlan import VXLAN

from hbids.facts import Direction, Verdict
from tests.capture.build import Frame
from tests.coverage.casebook import LEAK, Group
from tests.coverage.exchanges import FULL, LIE, SEALED_LEAK, SEALED_LEAK_BYTES
from tests.support import openvpn, tls
from tests.support.conversation import TO_CLIENT, TO_SERVER
from tests.support.framing import ETHERNET
from tests.support.openvpn import Vpn, greeted, sealing
from tests.support.tunnels import over_ethernet, udp

GROUP = Group(
    "OpenVPN",
    "Where nothing else is said, each capture holds a clear leak of 16,384 bytes in the control channel.",
    endpoint="10.0.0.2:1194",
)


def attacked(*, over_tcp: bool, hmac_bytes: int = 0) -> list[Frame]:
    return greeted(over_tcp=over_tcp, hmac_bytes=hmac_bytes).attack().frames()


def renegotiated(*, over_tcp: bool) -> list[Frame]:
    return sealing(over_tcp=over_tcp).renegotiate().greet().attack().frames()


def restarted(*, over_tcp: bool) -> list[Frame]:
    return greeted(over_tcp=over_tcp).attack().restart().greet().attack().frames()


def sealed(*, over_tcp: bool) -> list[Frame]:
    vpn = sealing(over_tcp=over_tcp)
    vpn.say(TO_SERVER, tls.sealed(61))
    vpn.say(TO_CLIENT, tls.sealed(FULL, 42))
    return vpn.frames()


def glued_to_the_hello(*, over_tcp: bool) -> list[Frame]:
    """In packets of ten bytes."""
    vpn = Vpn(over_tcp=over_tcp).reset()
    vpn.say(TO_SERVER, tls.client_hello() + LIE, size=10)
    vpn.say(TO_CLIENT, tls.server_hello())
    return vpn.frames()


def one_way(lost: Direction, *, over_tcp: bool) -> list[Frame]:
    return greeted(over_tcp=over_tcp).attack().lose_way(lost).frames()


def client_asked(*, over_tcp: bool) -> list[Frame]:
    vpn = greeted(over_tcp=over_tcp)
    vpn.say(TO_CLIENT, LIE)
    for record in tls.answer(0x4000):
        vpn.say(TO_SERVER, record)
        vpn.acknowledge(TO_CLIENT)
    return vpn.frames()


def honest(*, over_tcp: bool) -> list[Frame]:
    vpn = greeted(over_tcp=over_tcp)
    vpn.say(TO_SERVER, tls.honest_request())
    vpn.say(TO_CLIENT, tls.answer(18)[0])
    vpn.finish()
    for way in (TO_SERVER, TO_CLIENT) * 10:
        vpn.data(way, 1_000)
    return vpn.frames()


for over_tcp, carrier in ((False, "UDP"), (True, "TCP")):
    GROUP.leak(f"over {carrier}")(partial(attacked, over_tcp=over_tcp))
    for hmac_bytes in (20, 64):
        GROUP.leak(f"over {carrier}, tls-auth with {hmac_bytes} bytes of HMAC")(
            partial(attacked, over_tcp=over_tcp, hmac_bytes=hmac_bytes)
        )
    GROUP.leak(f"over {carrier}, in a renegotiation")(partial(renegotiated, over_tcp=over_tcp))
    GROUP.case(
        f"over {carrier}, the client restarts on the same ports: two leaks",
        *LEAK * 2, verdict=Verdict.LEAKED, leaked=2 * 0x4000,
    )(partial(restarted, over_tcp=over_tcp))  # fmt: skip
    GROUP.case(
        f"over {carrier}, sealed", *SEALED_LEAK, verdict=Verdict.LEAKED, estimated=SEALED_LEAK_BYTES
    )(partial(sealed, over_tcp=over_tcp))  # fmt: skip
    GROUP.case(
        f"over {carrier}, glued to the ClientHello, in packets of ten bytes", 1016000, verdict=Verdict.ATTEMPTED
    )(partial(glued_to_the_hello, over_tcp=over_tcp))
    GROUP.case(f"over {carrier}, one way alone, the client's", 1016003, verdict=Verdict.ATTEMPTED)(
        partial(one_way, TO_CLIENT, over_tcp=over_tcp)
    )
    GROUP.case(
        f"over {carrier}, one way alone, the server's: estimated", 1016120, verdict=Verdict.LEAKED, estimated=0x4000
    )(partial(one_way, TO_SERVER, over_tcp=over_tcp))
    GROUP.case(
        f"over {carrier}, a server asks its client",
        *(1016004, 1016101, 1016103),
        verdict=Verdict.LEAKED, endpoint="10.0.0.1 (client)", leaked=0x4000,
        others={GROUP.endpoint: Verdict.EXPOSED},
    )(partial(client_asked, over_tcp=over_tcp))  # fmt: skip
    GROUP.case(f"over {carrier}, an honest heartbeat and a data channel: nothing")(partial(honest, over_tcp=over_tcp))


@GROUP.leak("packets in reverse order, as UDP may deliver them")
def reversed_packets() -> list[Frame]:
    vpn = greeted()
    before = len(vpn.datagrams.frames)
    vpn.say(TO_SERVER, LIE, size=2)
    lie = vpn.datagrams.frames[before:]
    del vpn.datagrams.frames[before:]
    vpn.datagrams.frames += lie[::-1]
    for record in tls.answer(0x4000):
        vpn.say(TO_CLIENT, record)
        vpn.acknowledge(TO_SERVER)
    return vpn.frames()


@GROUP.leak("every datagram twice", counted={"openvpn_packets_repeated": 20})
def repeated() -> list[Frame]:
    return list(chain(*((frame, frame) for frame in attacked(over_tcp=False))))


@GROUP.leak("in VXLAN", made_by="scapy")
def in_a_tunnel() -> list[Frame]:
    frames = []
    for frame in attacked(over_tcp=False):
        data = ETHERNET.wrap(over_ethernet(*udp(4789, VXLAN(vni=1)))(frame.data[14:]))
        frames.append(Frame(frame.time_ns, data, len(data)))
    return frames


@GROUP.case(
    "tls-crypt: sealed from the first byte; counted", verdict=Verdict.CLEAR, counted={"openvpn_packets_sealed": 8}
)
def tls_crypt() -> list[Frame]:
    vpn = Vpn()
    for number in range(4):
        for way, reset in ((TO_SERVER, openvpn.RESET_CLIENT), (TO_CLIENT, openvpn.RESET_SERVER)):
            opcode = openvpn.CONTROL if number else reset
            vpn.send(way, openvpn.sealed_by_tls_crypt(opcode, openvpn.SESSION_IDS[way], number + 1, 60))
    return vpn.frames()
