//! Capture files: from the bytes of a pcap or pcapng file to the place and time of each frame.
