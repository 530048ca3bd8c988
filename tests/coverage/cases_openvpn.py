"""TLS in OpenVPN's control channel, and what of it tls-crypt hides."""

from __future__ import annotations

from functools import partial

from scapy.layers.vxlan import VXLAN

from hbids.facts import Verdict
from tests.capture.build import Frame
from tests.coverage.casebook import LEAK, TWO_LEAKS, Group
from tests.coverage.exchanges import ASKED, FULL, SEALED_LEAK, SEALED_LEAK_BYTES
from tests.support import openvpn, tls
from tests.support.conversation import TO_CLIENT, TO_SERVER
from tests.support.framing import ETHERNET
from tests.support.openvpn import HMAC_BYTES, PAYLOAD_BYTES, Vpn, greeted, sealed_by_tls_crypt, sealing
from tests.support.tunnels import over, udp

GROUP = Group(
    "OpenVPN",
    "Where nothing else is said, each capture holds a clear leak of 16,384 bytes over UDP, on a channel without "
    "tls-auth that is seen from its first packet on.",
    endpoint="10.0.0.2:1194",
)
CARRIERS = {"UDP": False, "TCP": True}

leak = GROUP.leak


# --- how it is wrapped ------------------------------------------------------------------------------------------------


def attacked(*, over_tcp: bool = False, hmac_bytes: int = 0) -> list[Frame]:
    return greeted(over_tcp=over_tcp, hmac_bytes=hmac_bytes).attack().frames()


for carrier, over_tcp in CARRIERS.items():
    leak(f"over {carrier}")(partial(attacked, over_tcp=over_tcp))
for hmac_bytes in HMAC_BYTES:
    leak(f"with tls-auth, HMAC of {hmac_bytes} bytes")(partial(attacked, hmac_bytes=hmac_bytes))
leak("with tls-auth, HMAC of 64 bytes, over TCP")(partial(attacked, over_tcp=True, hmac_bytes=64))


@GROUP.case("on port 443 of both ends", *LEAK, verdict=Verdict.LEAKED, endpoint="10.0.0.2:443", leaked=0x4000)
def same_ports() -> list[Frame]:
    vpn = Vpn()
    vpn.datagrams.client, vpn.datagrams.server = ("10.0.0.1", 443), ("10.0.0.2", 443)
    return vpn.reset().greet().attack().frames()


@leak("over TCP, a byte a segment")
def byte_by_byte() -> list[Frame]:
    vpn = Vpn(over_tcp=True)
    vpn.connection.connect()
    for packet in greeted(over_tcp=True).attack().connection.packets[3:]:
        for at in range(len(packet.payload)):
            vpn.connection.segment(packet.way, packet.payload[at : at + 1])
    return vpn.frames()


@leak("over TCP, behind a proxy that granted CONNECT")
def behind_a_proxy() -> list[Frame]:
    vpn = Vpn(over_tcp=True)
    vpn.connection.connect()
    vpn.connection.client(b"CONNECT vpn.example:1194 HTTP/1.1\r\n\r\n")
    vpn.connection.server(b"HTTP/1.1 200 Connection established\r\n\r\n")
    return vpn.reset().greet().attack().frames()


@leak("in VXLAN", made_by="scapy")
def in_a_tunnel() -> list[Frame]:
    frames = []
    for frame in attacked():
        data = ETHERNET.wrap(over(*udp(4789, VXLAN(vni=1)))(frame.data))
        frames.append(Frame(frame.time_ns, data, len(data)))
    return frames


# --- packets as the network brings them -------------------------------------------------------------------------------


def answered(vpn: Vpn) -> list[bytes]:
    """The packets of an answer, not sent."""
    vpn.say(TO_SERVER, tls.request(0x4000))
    answer = b"".join(tls.answer(0x4000))
    return [vpn.next(TO_CLIENT, piece) for piece in tls.cut(answer, range(PAYLOAD_BYTES, len(answer), PAYLOAD_BYTES))]


@GROUP.case("glued to the ClientHello, in packets of ten bytes", 1016000, verdict=Verdict.ATTEMPTED)
def glued_to_the_hello() -> list[Frame]:
    vpn = Vpn().reset()
    vpn.say(TO_SERVER, tls.client_hello() + tls.request(0x4000), size=10)
    vpn.say(TO_CLIENT, tls.server_hello())
    return vpn.frames()


@leak("packets out of order")
def out_of_order() -> list[Frame]:
    vpn = greeted()
    packets = answered(vpn)
    for at in range(0, len(packets), 4):
        vpn.send(TO_CLIENT, *reversed(packets[at : at + 4]))
    return vpn.frames()


@leak("every packet twice", counted={"openvpn_packets_repeated": 19})
def twice() -> list[Frame]:
    return [frame for frame in attacked() if len(frame.data) > 60 for _ in range(2)]


@GROUP.case(
    "a packet of the answer lost",
    *LEAK,
    verdict=Verdict.LEAKED,
    leaked=0x4000 + tls.PADDING_BYTES - PAYLOAD_BYTES,
    counted={"openvpn_gaps": 1},
)
def lost() -> list[Frame]:
    vpn = greeted()
    packets = answered(vpn)
    vpn.send(TO_CLIENT, *packets[:5], *packets[6:])
    return vpn.frames()


@leak("a decoy far ahead", counted={"openvpn_packets_ahead": 1})
def decoy() -> list[Frame]:
    vpn = greeted()
    vpn.send(TO_SERVER, vpn.packet(TO_SERVER, openvpn.CONTROL, tls.application_data(), packet_id=10))
    return vpn.attack().frames()


# --- sessions ---------------------------------------------------------------------------------------------------------


@GROUP.case("one in the handshake, one in a renegotiation", *TWO_LEAKS, verdict=Verdict.LEAKED, leaked=0x8000)
def renegotiated() -> list[Frame]:
    return greeted().attack().finish().renegotiate().greet().attack().frames()


@GROUP.case("one before a restart on the same ports, one after", *TWO_LEAKS, verdict=Verdict.LEAKED, leaked=0x8000)
def restarted() -> list[Frame]:
    return greeted().attack().finish().restart().greet().attack().frames()


def sealed_leak(*, over_tcp: bool) -> list[Frame]:
    vpn = sealing(over_tcp=over_tcp)
    vpn.say(TO_SERVER, tls.sealed(ASKED))
    vpn.say(TO_CLIENT, tls.sealed(FULL, 24 + 18))
    return vpn.frames()


for carrier, over_tcp in CARRIERS.items():
    GROUP.case(f"sealed by TLS, over {carrier}", *SEALED_LEAK, verdict=Verdict.LEAKED, estimated=SEALED_LEAK_BYTES)(
        partial(sealed_leak, over_tcp=over_tcp)
    )


@GROUP.case(
    "a server that reads its client's memory",
    *(1016004, 1016101, 1016103),
    verdict=Verdict.LEAKED,
    endpoint="10.0.0.1 (client)",
    others={"10.0.0.2:1194": Verdict.EXPOSED},
    leaked=0x4000,
)
def reverse() -> list[Frame]:
    vpn = greeted()
    vpn.say(TO_CLIENT, tls.request(0x4000))
    vpn.say(TO_SERVER, b"".join(tls.answer(0x4000)))
    return vpn.frames()


@GROUP.case("honest heartbeats")
def honest() -> list[Frame]:
    vpn = greeted()
    vpn.say(TO_SERVER, tls.honest_request())
    vpn.say(TO_CLIENT, b"".join(tls.answer(18)))
    return vpn.frames()


# --- parts of it ------------------------------------------------------------------------------------------------------


def joined_late(*, over_tcp: bool) -> list[Frame]:
    vpn = greeted(over_tcp=over_tcp, hmac_bytes=20)
    seen = len(vpn.frames())
    return vpn.attack().frames()[seen:]


for carrier, over_tcp in CARRIERS.items():
    GROUP.case(
        f"joined late, over {carrier}",
        *(1016003, 1016100, 1016102),
        verdict=Verdict.LEAKED,
        leaked=0x4000,
        confidence="Medium",
    )(partial(joined_late, over_tcp=over_tcp))


@GROUP.case("only the client's packets", 1016003, verdict=Verdict.ATTEMPTED)
def client_alone() -> list[Frame]:
    return greeted().attack().lose_way(TO_CLIENT).frames()


@GROUP.case("only the server's packets: estimated", 1016120, verdict=Verdict.LEAKED, estimated=0x4000)
def server_alone() -> list[Frame]:
    return greeted().attack().lose_way(TO_SERVER).frames()


# --- tls-crypt --------------------------------------------------------------------------------------------------------


@GROUP.case("a handshake under tls-crypt", verdict=Verdict.CLEAR, counted={"openvpn_packets_sealed": 4})
def tls_crypt() -> list[Frame]:
    vpn = Vpn()
    for number, opcodes in enumerate([(openvpn.RESET_CLIENT, openvpn.RESET_SERVER), (openvpn.CONTROL,) * 2], 1):
        for way, opcode in zip((TO_SERVER, TO_CLIENT), opcodes, strict=True):
            vpn.send(way, sealed_by_tls_crypt(opcode, vpn.session_ids[way], number))
    return vpn.frames()


@leak("a renegotiation under tls-crypt behind it", counted={"openvpn_packets_sealed": 2})
def sealed_renegotiation() -> list[Frame]:
    vpn = greeted().attack().finish()
    for way in (TO_SERVER, TO_CLIENT):
        vpn.send(way, sealed_by_tls_crypt(openvpn.SOFT_RESET, vpn.session_ids[way], 1, key_id=1))
    return vpn.frames()


# --- what is none -----------------------------------------------------------------------------------------------------


@GROUP.case("the data channel alone", verdict=Verdict.CLEAR)
def data_channel() -> list[Frame]:
    vpn = Vpn()
    for length in range(0, 1_400, 70):
        vpn.data(TO_SERVER, length)
        vpn.data(TO_CLIENT, length)
    return vpn.frames()
