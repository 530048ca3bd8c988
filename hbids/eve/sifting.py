"""The sieve in Python: what it does, in the words of regular expressions, and what runs where nothing is compiled."""

from __future__ import annotations

import re
import struct
from collections import OrderedDict
from socket import AF_INET, AF_INET6, inet_pton

from hbids.eve.sieve import Session, Stop
from hbids.eve.values import time_ns
from hbids.facts import NO_VLAN, EndReason

__all__ = ["ReferenceSieve"]

_TYPE = re.compile(rb'"event_type":[ \t]?"(alert|packet|anomaly|netflow|stats|frame|tls|flow)"')
_TLS = re.compile(rb'"app_proto":[ \t]?"tls"')
_HEARTBEAT = re.compile(rb'"type":[ \t]?"heartbeat"')
_FLOW_ID = re.compile(rb'"flow_id":[ \t]?([0-9]{1,18})\b')
_TLS_1_3 = re.compile(rb'"version":[ \t]?"TLS 1\.3"')
_CONCERNS_HEARTBEATS = re.compile(rb'[-,]15[-,"]|"exts"')
"""In JA3's text, or the lists of Suricata 8: perhaps the extension."""

_TIME = rb"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}[+-](?:0[0-9]|1[0-4])[0-5][0-9])"
_COUNT = rb"(0|[1-9][0-9]{0,14})"
_NUMBER = rb"(?:0|[1-9][0-9]{0,17})"
_SHORT = rb"(?:0|[1-9][0-9]{0,4})"
_TEXT = rb'"[ !#-\[\]-~]*"'
_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_ADDRESS = rb"(" + _OCTET + rb"(?:\." + _OCTET + rb"){3}|(?:[0-9a-f]{4}:){7}[0-9a-f]{4})"
_HEAD = re.compile(rb'\{"timestamp":"' + _TIME + rb'","flow_id":(' + _NUMBER + rb"),")
"""Of any event as Suricata writes it: time and flow."""
_FLOW = re.compile(
    rb'(?:"parent_id":' + _NUMBER + rb',)?(?:"in_iface":' + _TEXT + rb',)?"event_type":"flow",'
    + rb'(?:"vlan":\[(' + _SHORT + rb"(?:," + _SHORT + rb"){0,2})\],)?"
    + rb'"src_ip":"' + _ADDRESS + rb'","src_port":(' + _SHORT + rb"),"
    + rb'"dest_ip":"' + _ADDRESS + rb'","dest_port":(' + _SHORT + rb'),"proto":"TCP",'
    + rb'(?:"ip_v":[46],)?(?:"pkt_src":' + _TEXT + rb',)?(?:"community_id":' + _TEXT + rb',)?"app_proto":"tls",'
    + b"".join(rb'(?:"app_proto_' + way + b'":' + _TEXT + rb",)?" for way in (b"ts", b"tc", b"orig", b"expected"))
    + rb'"flow":\{"pkts_toserver":' + _COUNT + rb',"pkts_toclient":' + _COUNT
    + rb',"bytes_toserver":' + _COUNT + rb',"bytes_toclient":' + _COUNT
    + rb',"start":"' + _TIME + rb'","end":"' + _TIME + rb'","age":' + _NUMBER
    + rb',"state":(' + _TEXT + rb'),"reason":(' + _TEXT + rb")"
)  # fmt: skip
"""Behind the head, of a flow of TLS over TCP."""
_RESET = b'"rst":true'

_ROW = struct.Struct("<qq16s16sHH3HB4Q")
"""Of :data:`~hbids.eve.sieve.SIFTED_DTYPE`."""
_SECONDS_DIGITS = len("2026-11-23T17:50:59")
_MOST_PORT, _MOST_VLAN = 65_535, 4_095
_MAPPED = bytes(10) + b"\xff\xff"
_END_REASONS = {b'"timeout"': EndReason.TIMEOUT, b'"tcp_reuse"': EndReason.REUSED}


class ReferenceSieve:
    """See :class:`~hbids.eve.sieve.Sieve`."""

    def __init__(self, most_sessions: int, most_session_bytes: int, tells_all: bool) -> None:
        """So many sessions wait, or so many bytes of them; those that came first are told of first."""
        self._most_sessions, self._most_session_bytes = most_sessions, most_session_bytes
        self._tells_all = tells_all
        self._second = b""
        self._known: set[int] = set()
        self._waiting: OrderedDict[int, Session] = OrderedDict()
        """By flow, in the order in which the flows came; a second event of a flow takes the place of the first."""
        self._waiting_bytes = 0
        self._told: list[Session] = []
        self._flows: list[bytes] = []
        self._lines = self._tls = self._flow = self._passed = self._passed_tls13 = 0

    def sift(self, lines: bytes, start: int, end: int, place: int, now_ns: int) -> tuple[int, int, int]:
        """Read on."""
        while (found := _TYPE.search(lines, start, end)) is not None:
            begin = lines.rfind(b"\n", start, found.start()) + 1 or start
            behind = lines.find(b"\n", found.end(), end) + 1 or end
            line = lines[begin:behind]
            match found[1]:
                case b"tls":
                    stop = self._take_tls(line, place, now_ns)
                case b"flow":
                    stop = self._take_flow(line)
                case b"netflow":
                    stop = self._pass_flow(line)
                case b"frame" if not _HEARTBEAT.search(line):
                    stop = None
                case _:
                    stop = Stop.EVENT
            if stop is not None:
                return stop, begin, behind
            start = behind
        self._lines += lines.count(b"\n", 0, end)
        return Stop.END, end, end

    def know(self, flow_id: int) -> None:
        """All events of this flow are to be parsed."""
        self._known.add(flow_id)

    def forget(self, flow_id: int) -> None:
        """No longer."""
        self._known.discard(flow_id)

    def claim(self, flow_id: int) -> Session | None:
        """The session of a flow."""
        session = self._waiting.pop(flow_id, None)
        self._waiting_bytes -= len(session.line) if session else 0
        return session

    def tell(self, flow_id: int) -> None:
        """The flow is over."""
        session = self.claim(flow_id)
        if session is not None and (self._tells_all or _CONCERNS_HEARTBEATS.search(session.line)):
            self._told.append(session)
        elif session is not None:
            self._passed += 1
            self._passed_tls13 += _TLS_1_3.search(session.line) is not None

    def tell_since(self, time_ns: int) -> None:
        """Of what has waited long enough."""
        while (first := next(iter(self._waiting.values()), None)) is not None and first.time_ns <= time_ns:
            self.tell(first.flow_id)

    def told(self) -> list[Session]:
        """What is told of."""
        told, self._told = self._told, []
        return told

    def flows(self) -> bytes:
        """Rows."""
        flows, self._flows = self._flows, []
        return b"".join(flows)

    def oldest_place(self, start: int) -> int | None:
        """Where one waits from."""
        return next((session.place for session in self._waiting.values() if session.place >= start), None)

    def counts(self) -> tuple[int, int, int, int, int]:
        """Of lines, events, and sessions."""
        return self._lines, self._tls, self._flow, self._passed, self._passed_tls13

    def _take_tls(self, line: bytes, place: int, now_ns: int) -> Stop | None:
        head = _HEAD.match(line)
        if head is None:
            return Stop.EVENT
        flow_id = int(head[2])
        stop = self._look(head[1], flow_id)
        if stop is not None:
            return stop
        self._tls += 1
        before = self._waiting.get(flow_id)
        since = place if before is None else before.place
        self._waiting[flow_id] = Session(flow_id, now_ns, since, line)
        self._waiting_bytes += len(line) - (0 if before is None else len(before.line))
        while len(self._waiting) > self._most_sessions or self._waiting_bytes > self._most_session_bytes:
            self.tell(next(iter(self._waiting)))
        return None

    def _take_flow(self, line: bytes) -> Stop | None:
        head = _HEAD.match(line)
        row = None if head is None else _row(line, head.end())
        if head is None or row is None:
            return self._pass_flow(line)
        flow_id = int(head[2])
        stop = self._look(head[1], flow_id)
        if stop is None:
            self._flow += 1
            self._flows.append(row)
            self.tell(flow_id)
        return stop

    def _pass_flow(self, line: bytes) -> Stop | None:
        """Of a flow that is not TLS, or looks otherwise; or of one direction."""
        if _TLS.search(line):
            return Stop.EVENT
        found = _FLOW_ID.search(line)
        flow_id = None if found is None else int(found[1])
        return Stop.EVENT if flow_id in self._known or flow_id in self._waiting else None

    def _look(self, time: bytes, flow_id: int) -> Stop | None:
        """Whether the line is to be parsed after all, or begins another second."""
        if flow_id in self._known:
            return Stop.EVENT
        second = time[:_SECONDS_DIGITS]
        if second == self._second:
            return None
        if _time_ns(time) is None:
            return Stop.EVENT
        self._second = second
        return Stop.SECOND


def _row(line: bytes, at: int) -> bytes | None:
    """Of a flow that looks as Suricata writes it."""
    found = _FLOW.match(line, at)
    if found is None:
        return None
    vlan, client, client_port, server, server_port, *counts, start, end, state, reason = found.groups()
    ports = int(client_port), int(server_port)
    layers = [int(layer) for layer in vlan.split(b",")] if vlan else []
    start_ns, end_ns = _time_ns(start), _time_ns(end)
    if not start_ns or not end_ns or max(ports) > _MOST_PORT or max(layers, default=0) > _MOST_VLAN:
        return None
    end_reason = _END_REASONS.get(reason, EndReason.CAPTURE_END)
    if state == b'"closed"':
        end_reason = EndReason.RST if line.find(_RESET, found.end()) >= 0 else EndReason.FIN
    layers += [NO_VLAN] * (3 - len(layers))
    times = start_ns, max(start_ns, end_ns)
    return _ROW.pack(*times, _packed(client), _packed(server), *ports, *layers, end_reason, *map(int, counts))


def _time_ns(time: bytes) -> int | None:
    return time_ns(time.decode())


def _packed(address: bytes) -> bytes:
    """Sixteen bytes."""
    text = address.decode()
    return inet_pton(AF_INET6, text) if ":" in text else _MAPPED + inet_pton(AF_INET, text)
