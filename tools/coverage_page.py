"""docs/coverage.md, from the cases of tests/coverage."""

from __future__ import annotations

from hbids import signatures
from tests.coverage.casebook import EXPOSURE, Case, Group
from tests.coverage.groups import GROUPS

__all__ = ["coverage_page"]

INTRODUCTION = """\
<!-- Written by `make docs` from the cases in tests/coverage: edit those. -->

# Coverage

What a span port may show, and what hbids says of it: {number} cases. Each row is a test: its traffic is written to a
capture file and replayed by both engines, and hbids must say what the row says and nothing else, neither an alert nor
an endpoint nor a counter more. `make test TESTS=tests/coverage` runs them all. Recorded attacks of real tools are
held to their figures in the same way: [pcaps](../pcaps/MANIFEST.yaml).

- **Alerts**: signatures that fire, as listed below. {exposure}, the inventory of servers that accept heartbeats, is
  left out.
- **Verdict**: of the endpoint the case is about, then of others ([how to read a verdict](verdict.md)).
- **Leaked bytes**: exact, or after ~ an estimate.
- **Counted**: what was left out or given up, by [counter](counters.md).
- **Traffic**: `simulated` is written byte by byte by tests/support. Where a program is named, it wrote the bytes: scapy
  the packets around simulated TLS, OpenSSL whole sessions.

| sid | signature |
|---|---|
{legend}
"""

HEADER = """\
| on the port | alerts | verdict | leaked bytes | counted | traffic |
|---|---|---|---|---|---|"""


def coverage_page() -> str:
    """The whole page, as Markdown."""
    cases = [case for group in GROUPS for case in group.cases]
    fired = sorted({sid for case in cases for sid in case.says.alerts})
    legend = "\n".join(f"| {sid} | {signatures.shipped()[sid].title} |" for sid in fired)
    introduction = INTRODUCTION.format(number=len(cases), exposure=EXPOSURE, legend=legend)
    return "\n".join([introduction, *(_chapter(group) for group in GROUPS)])


def _chapter(group: Group) -> str:
    rows = [_row(group, case) for case in group.cases]
    return "\n".join([f"## {group.title}", "", group.introduction, "", HEADER, *rows, ""])


def _row(group: Group, case: Case) -> str:
    says = case.says
    cells = [
        case.item,
        ", ".join(str(sid) if times == 1 else f"{times} x {sid}" for sid, times in says.alerts.items()),
        _verdicts(group, case),
        _leaked(case),
        ", ".join(f"`{counter}` {times:,}" for counter, times in says.counted.items()),
        case.made_by,
    ]
    return f"| {' | '.join(cell or '-' for cell in cells)} |"


def _verdicts(group: Group, case: Case) -> str:
    verdicts = dict(case.says.verdicts)
    own = verdicts.pop(group.endpoint, None)
    words = [own] if own else []
    words += [f"{word}: {endpoint}" for endpoint, word in verdicts.items()]
    return ", ".join(words) or "clear"


def _leaked(case: Case) -> str:
    exact, estimated = case.says.leaked_bytes, case.says.leaked_bytes_estimated
    return " + ".join([f"{exact:,}"] * (exact > 0) + [f"~{estimated:,}"] * (estimated > 0))
