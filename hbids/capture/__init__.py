"""Outside to frames: capture files, directories of them, standard input.

capture = open_capture("capture.pcap", native=True)
for batch in capture.batches():
    ...
for problem in capture.problems:
    print(problem.severity, problem)
"""

from hbids.capture.problems import Problem
from hbids.capture.rolling import Capture, open_capture

__all__ = ["Capture", "Problem", "open_capture"]
