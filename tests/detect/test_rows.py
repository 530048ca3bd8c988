"""Facts that no packet gives today, as another source of facts could bring them."""

from __future__ import annotations

from hbids.config import Config
from hbids.facts import Facts, Finding, Phase
from hbids.pipeline import Analysis
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
    findings: list[Finding] = []
    Analysis(Config(), findings.append).add(Facts(rows, decoded.sessions[:0], decoded.flows[:0]))
    assert [finding.sid for finding in findings] == [1016002]
