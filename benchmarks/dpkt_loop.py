"""The least a Python program does with dpkt: read every packet of a pcap file and parse its headers."""

import sys
from pathlib import Path

import dpkt

packets = 0
with Path(sys.argv[1]).open("rb") as capture:
    for _, frame in dpkt.pcap.Reader(capture):
        dpkt.ethernet.Ethernet(frame)
        packets += 1
if packets != int(sys.argv[2]):
    sys.exit(f"read {packets} packets instead of {sys.argv[2]}")
