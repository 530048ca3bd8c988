"""TLS in EAP, over RADIUS and over EAPOL."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import NamedTuple

from scapy.layers.eap import EAP_TLS, EAPOL
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from hbids.facts import Direction, Verdict
from tests.capture.build import Frame
from tests.coverage.casebook import LEAK, TWO_LEAKS, Group
from tests.coverage.exchanges import CLAIMED, FULL, LIE, SEALED_LEAK, SEALED_LEAK_BYTES
from tests.support import eap, tls
from tests.support.conversation import START_NS, STEP_NS, TO_CLIENT, TO_SERVER
from tests.support.eap import METHODS, Carrier, Eapol, Radius, attacked, greeted, sealing
from tests.support.framing import ETHERNET
from tests.support.tunnels import over, udp

AUTHENTICATOR, SUPPLICANT = "fe80::ff:fe00:b", "fe80::ff:fe00:a"
GROUP_ADDRESS = "fe80::380:c2ff:fe00:3"
GROUP = Group(
    "EAP over RADIUS and EAPOL",
    "Where nothing else is said, each capture holds a clear leak of 16,384 bytes by a RADIUS server. Over EAPOL the "
    f"endpoints are addresses made of those of the network: the authenticator is {AUTHENTICATOR}.",
    endpoint="10.0.0.2:1812",
)


class Way(NamedTuple):
    """One of the two ways in which EAP travels."""

    name: str
    carrier: Callable[[], Carrier]
    server: str
    client: str
    packets: int
    """Of an attack."""


WAYS = (
    Way("RADIUS", Radius, GROUP.endpoint, "10.0.0.9 (client)", 38),
    Way("EAPOL", Eapol, AUTHENTICATOR, f"{SUPPLICANT} (client)", 39),
)


def leak(way: Way, method: int = eap.EAP_TLS, piece_bytes: int = 1_000) -> list[Frame]:
    return attacked(way.carrier(), method, piece_bytes=piece_bytes).frames()


def sealed(way: Way) -> list[Frame]:
    dialogue = sealing(way.carrier())
    dialogue.client(tls.sealed(61))
    dialogue.server(tls.sealed(FULL, 42))
    return dialogue.frames()


def client_asked(way: Way) -> list[Frame]:
    dialogue = greeted(way.carrier())
    dialogue.server(LIE)
    dialogue.client(eap.LEAK)
    return dialogue.frames()


def honest(way: Way) -> list[Frame]:
    dialogue = greeted(way.carrier())
    dialogue.client(tls.honest_request())
    dialogue.server(tls.answer(18)[0])
    return dialogue.finish_handshake().succeed().frames()


def one_way(way: Way, lost: Direction) -> list[Frame]:
    return attacked(way.carrier()).lose_way(lost).frames()


def repeated(way: Way) -> list[Frame]:
    return list(chain(*((frame, frame) for frame in leak(way))))


for way in WAYS:
    told_as_leak = partial(GROUP.case, endpoint=way.server, verdict=Verdict.LEAKED)
    for method, number in METHODS.items():
        told_as_leak(f"{method} over {way.name}", *LEAK, leaked=CLAIMED)(partial(leak, way, number))
    told_as_leak(f"in pieces of 100 bytes over {way.name}", *LEAK, leaked=CLAIMED)(partial(leak, way, piece_bytes=100))
    told_as_leak(f"sealed, over {way.name}", *SEALED_LEAK, estimated=SEALED_LEAK_BYTES)(partial(sealed, way))
    told_as_leak(
        f"every packet twice over {way.name}", *LEAK, leaked=CLAIMED, counted={"eap_repeated": way.packets}
    )(partial(repeated, way))  # fmt: skip
    told_as_leak(f"one way alone, the server's, over {way.name}: estimated", 1016120, estimated=CLAIMED)(
        partial(one_way, way, TO_SERVER)
    )
    GROUP.case(
        f"one way alone, the client's, over {way.name}", 1016003, verdict=Verdict.ATTEMPTED,
        endpoint=way.server if way.name == "RADIUS" else GROUP_ADDRESS,
    )(partial(one_way, way, TO_CLIENT))  # fmt: skip
    GROUP.case(
        f"a server asks its client over {way.name}", *(1016004, 1016101, 1016103),
        verdict=Verdict.LEAKED, endpoint=way.client, leaked=CLAIMED, others={way.server: Verdict.EXPOSED},
    )(partial(client_asked, way))  # fmt: skip
    GROUP.case(f"honest, over {way.name}: nothing", endpoint=way.server)(partial(honest, way))


@GROUP.case(
    "two supplicants at once behind one port of an access server: two leaks",
    *TWO_LEAKS, verdict=Verdict.LEAKED, leaked=2 * CLAIMED,
)  # fmt: skip
def at_once() -> list[Frame]:
    first = Radius(caller=b"02-00-00-00-00-01", tag=b"A")
    second = Radius(caller=b"02-00-00-00-00-02", tag=b"B", first_identifier=128)
    return eap.in_turn([attacked(first), attacked(second)])


def tunnelled(frames: list[Frame]) -> list[Frame]:
    """Ethernet in VXLAN."""
    found = []
    for frame in frames:
        data = ETHERNET.wrap(over(*udp(4789, VXLAN(vni=1)))(frame.data))
        found.append(Frame(frame.time_ns, data, len(data)))
    return found


@GROUP.leak("RADIUS in VXLAN", made_by="scapy")
def radius_in_a_tunnel() -> list[Frame]:
    return tunnelled(attacked(Radius()).frames())


@GROUP.case("EAPOL in VXLAN", *LEAK, verdict=Verdict.LEAKED, endpoint=AUTHENTICATOR, leaked=CLAIMED, made_by="scapy")
def eapol_in_a_tunnel() -> list[Frame]:
    return tunnelled(attacked(Eapol()).frames())


@GROUP.case(
    "EAPOL behind a VLAN tag, EAP and all by scapy",
    *(1016001, 1016100), verdict=Verdict.LEAKED, endpoint=AUTHENTICATOR, leaked=900, made_by="scapy",
)  # fmt: skip
def by_scapy() -> list[Frame]:
    messages = (
        EAP_TLS(code=1, id=1, S=1, tls_data=b""),
        EAP_TLS(code=2, id=1, tls_data=tls.client_hello()),
        EAP_TLS(code=1, id=2, tls_data=tls.server_hello()),
        EAP_TLS(code=2, id=2, tls_data=tls.request(900)),
        EAP_TLS(code=1, id=3, L=1, tls_message_len=919 + 5, tls_data=tls.answer(900)[0]),
    )
    frames = []
    for number, message in enumerate(messages):
        body = bytes(message)
        body = body[:2] + len(body).to_bytes(2, "big") + body[4:]
        source = "02:00:00:00:00:0a" if body[0] == eap.RESPONSE else "02:00:00:00:00:0b"
        header = Ether(src=source, dst=eap.GROUP) / Dot1Q(vlan=9) / EAPOL(version=1, type=0, len=len(body))
        data = bytes(header / Raw(body))
        frames.append(Frame(START_NS + number * STEP_NS, data, len(data)))
    return frames
