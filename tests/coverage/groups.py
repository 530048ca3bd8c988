"""All groups, in the order of the page."""

from __future__ import annotations

from tests.coverage import cases_fragments, cases_layers, cases_records, cases_sealed, cases_tcp

__all__ = ["GROUPS"]

GROUPS = [
    cases_layers.GROUP,
    cases_fragments.GROUP,
    cases_tcp.GROUP,
    cases_records.GROUP,
    cases_sealed.GROUP,
]
