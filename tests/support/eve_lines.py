"""EVE lines as Suricata writes them."""

from __future__ import annotations

__all__ = ["flow", "tls"]

SECOND = "2026-11-24T10:00:0{}.123456+0000"
JA3 = '"ja3":{"string":"771,1-2,0-10%s,1,0"}'


def tls(flow_id: int, second: int = 0, ja3: str = "") -> bytes:
    """A ``tls`` event; ``ja3`` stands behind the extensions of the hello."""
    time = SECOND.format(second)
    ends = '"src_ip":"10.0.0.1","src_port":40000,"dest_ip":"10.0.0.2","dest_port":443,"proto":"TCP"'
    text = f'"event_type":"tls",{ends},"tls":{{"version":"TLS 1.3",{JA3 % ja3}}}}}\n'
    return f'{{"timestamp":"{time}","flow_id":{flow_id},{text}'.encode()


def flow(flow_id: int, second: int = 0, **changes: str) -> bytes:
    """A ``flow`` event, with some of its parts changed."""
    time = SECOND.format(second)
    parts = {
        "head": f'{{"timestamp":"{time}","flow_id":{flow_id},',
        "interface": '"in_iface":"eth0",',
        "type": '"event_type":"flow",',
        "vlan": "",
        "client": '"src_ip":"10.0.0.1","src_port":40000,',
        "server": '"dest_ip":"fd00:0000:0000:0000:0000:0000:0000:0010","dest_port":443,',
        "protocol": '"proto":"TCP",',
        "id": '"community_id":"1:ksM2h/UzCyEr+iJu8QqGeKJThQA=",',
        "app": '"app_proto":"tls",',
        "counts": '"flow":{"pkts_toserver":9,"pkts_toclient":8,"bytes_toserver":1043,"bytes_toclient":2485,',
        "times": f'"start":"{time}","end":"2026-11-24T10:00:09.500000+0000","age":9,',
        "state": '"state":"closed","reason":"shutdown","alerted":false}',
        "tcp": ',"tcp":{"tcp_flags":"1b","syn":true}}',
    } | changes
    return ("".join(parts.values()) + "\n").encode()
