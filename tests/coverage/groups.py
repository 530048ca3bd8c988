"""All groups, in the order of the page."""

from __future__ import annotations

from tests.coverage import (
    cases_dtls,
    cases_eap,
    cases_fragments,
    cases_layers,
    cases_not_tls,
    cases_openvpn,
    cases_records,
    cases_sealed,
    cases_tcp,
    cases_upgrades,
)

__all__ = ["GROUPS"]

GROUPS = [
    cases_layers.GROUP,
    cases_fragments.GROUP,
    cases_tcp.GROUP,
    cases_records.GROUP,
    cases_sealed.GROUP,
    cases_not_tls.GROUP,
    cases_upgrades.GROUP,
    cases_dtls.GROUP,
    cases_openvpn.GROUP,
    cases_eap.GROUP,
]
