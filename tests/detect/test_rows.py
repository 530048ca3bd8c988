"""Facts that no packet gives today, as another source of facts could bring them."""

from __future__ import annotations

from hbids.config import Thresholds
from hbids.detect import open_detectors
from hbids.facts import Facts, Phase
from tests.detect.casebook import LIE
from tests.support.conversation import greeted
from tests.support.decoding import column, decode_conversations


def test_a_lie_after_the_handshake_whose_claim_is_known(engine_name: str) -> None:
    conversation = greeted()
    conversation.client(LIE)
    decoded = decode_conversations(engine_name, [conversation])
    rows = decoded.heartbeats.copy()
    assert column(rows, "phase") == [Phase.HANDSHAKE]
    rows["phase"] = Phase.AFTER
    facts = Facts(rows, decoded.sessions[:0], decoded.flows[:0])
    findings = [finding for detector in open_detectors(Thresholds()) for finding in detector.update(facts)]
    assert [finding.sid for finding in findings] == [1016002]
