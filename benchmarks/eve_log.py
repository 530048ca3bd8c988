"""An eve.json as a network with web, mail and names fills it, with a few attacks in it: what the sidecar has to
read."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["write_log"]

CONTENT = REPOSITORY / "signatures" / "suricata"
ATTACK = REPOSITORY / "pcaps" / "scan_vuln_stafford.pcap"
ATTACK_EVERY = 20_000
"""Lines between two attacks."""
JA3 = {
    "hash": "cd08e31494f9531f560d64c695473da9",
    "string": "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,"
    "0-23-65281-10-11-35-16-5-13-18-51-45-43-27-17513,29-23-24,0",
}
JA3S = {"hash": "f4febc55ea12b31ae17cfb7e614afda8", "string": "771,4865,43-51"}
SHARES = {"flow of TLS": 16, "flow": 28, "dns": 26, "tls": 12, "http": 7, "fileinfo": 7, "quic": 3, "anomaly": 1}
"""Per cent of the lines."""


def write_log(path: Path, lines: int) -> None:
    """Write so many lines, and those of the attacks beside them."""
    dice = random.Random(20140407)  # noqa: S311  no secret
    attack = list(_attack(path.parent))
    kinds, weights = list(SHARES), list(SHARES.values())
    with path.open("wb") as file:
        for number in range(lines):
            event = _event(dice.choices(kinds, weights)[0], number, dice)
            file.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")
            if number % ATTACK_EVERY == ATTACK_EVERY // 2:
                flow_id = str(1 << 50 | number).encode()
                file.writelines(line.replace(b'"flow_id":0', b'"flow_id":' + flow_id) for line in attack)


def _attack(directory: Path) -> Iterator[bytes]:
    """What Suricata says of one, under flow_id 0."""
    options = ["--include", str(CONTENT / "hbids.yaml"), "-S", str(CONTENT / "hbids.rules"), "-k", "none"]
    command = ["suricata", "-c", "/etc/suricata/suricata.yaml", *options, "-r", str(ATTACK), "-l", str(directory)]
    subprocess.run(command, check=True, capture_output=True)
    eve = directory / "eve.json"
    for line in eve.read_bytes().splitlines(keepends=True):
        event = json.loads(line)
        if event.get("dest_port") == 443 or event.get("src_port") == 443:
            yield line.replace(b'"flow_id":%d' % event["flow_id"], b'"flow_id":0')
    eve.unlink()


def _event(kind: str, number: int, dice: random.Random) -> dict[str, Any]:
    seconds, micros = divmod(number * 400, 1_000_000)
    moment = f"2026-11-24T{9 + seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{micros:06}+0000"
    port = {"dns": 53, "http": 80, "fileinfo": 80}.get(kind, 443)
    udp = kind in ("dns", "quic") or (kind == "flow" and dice.random() < 0.6)
    event: dict[str, Any] = {"timestamp": moment, "flow_id": dice.getrandbits(51), "in_iface": "eth0"}
    event |= {
        "event_type": kind.split(maxsplit=1)[0],
        "src_ip": f"10.{dice.randrange(4)}.{dice.randrange(250)}.{dice.randrange(250)}",
    }
    event |= {
        "src_port": dice.randrange(32_768, 61_000),
        "dest_ip": f"192.0.2.{dice.randrange(250)}",
        "dest_port": port,
    }
    event |= {
        "proto": "UDP" if udp else "TCP",
        "pkt_src": "wire/pcap",
        "community_id": "1:eueeOewqosM3kEb/QFzbZYOW/V4=",
    }
    host = f"www{dice.randrange(5_000)}.example.org"
    match kind:
        case "flow" | "flow of TLS":
            event["app_proto"] = "tls" if kind == "flow of TLS" else "dns" if udp else "http"
            event |= {"flow": _flow(moment, dice), "tcp": _TCP} if not udp else {"flow": _flow(moment, dice)}
        case "dns":
            event["dns"] = {
                "version": 2,
                "type": "answer",
                "id": number & 0xFFFF,
                "flags": "8180",
                "qr": True,
                "rd": True,
            }
            event["dns"] |= {
                "rrname": host,
                "rrtype": "A",
                "rcode": "NOERROR",
                "answers": [{"rrname": host, "ttl": 60}],
            }
        case "tls":
            event["tls"] = {"sni": host, "version": "TLS 1.3", "ja3": JA3, "ja3s": JA3S}
            event["tls"]["ja4"] = "t13d1516h2_8daaf6152771_02713d6af862"
        case "http":
            event |= {
                "tx_id": 0,
                "http": {"hostname": host, "url": f"/page/{number}", "http_method": "GET", "status": 200},
            }
            event["http"] |= {"http_user_agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101", "length": 4_811}
        case "fileinfo":
            event["fileinfo"] = {
                "filename": f"/page/{number}",
                "state": "CLOSED",
                "stored": False,
                "size": 4_811,
                "tx_id": 0,
            }
            event["http"] = {"hostname": host, "url": f"/page/{number}", "http_method": "GET", "protocol": "HTTP/1.1"}
        case "quic":
            event["quic"] = {"version": "1", "sni": host, "ja3": JA3}
        case _:
            event["anomaly"] = {
                "type": "applayer",
                "event": "APPLAYER_DETECT_PROTOCOL_ONLY_ONE_DIRECTION",
                "layer": "proto_detect",
            }
    return event


_TCP = {
    "tcp_flags": "1b",
    "tcp_flags_ts": "1b",
    "tcp_flags_tc": "1b",
    "syn": True,
    "fin": True,
    "psh": True,
    "ack": True,
}
_TCP |= {"state": "closed", "ts_max_regions": 1, "tc_max_regions": 1}


def _flow(moment: str, dice: random.Random) -> dict[str, Any]:
    packets = dice.randrange(4, 60)
    flow: dict[str, Any] = {"pkts_toserver": packets, "pkts_toclient": packets + 3, "bytes_toserver": packets * 90}
    flow |= {"bytes_toclient": packets * dice.randrange(80, 1_400), "start": moment, "end": moment, "age": 1}
    return flow | {"state": "closed", "reason": "timeout", "alerted": False}
