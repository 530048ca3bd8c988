"""The shipped captures give what their manifest says, on both engines, through the program."""

from __future__ import annotations

import json

import pytest

from tests.conftest import PCAPS, run_hbids
from tests.repository.manifest import CAPTURES

ESTIMATE_TOLERANCE_BYTES = 16
"""An estimate knows the size of an answer, not how much of it is padding."""


@pytest.mark.parametrize("name", CAPTURES)
def test_capture_gives_what_its_manifest_says(name: str, engine_name: str) -> None:
    done = run_hbids("replay", PCAPS / name, "--engine", engine_name, "--summary", "-")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    expected = CAPTURES[name]["expected"]
    endpoints = summary["endpoints"]
    leaking_answers = sum(endpoint["leaking_answers"] for endpoint in endpoints)

    assert summary["engine"] == engine_name
    assert summary["packets"] == expected["packets"]
    assert summary["heartbeats"]["requests"] == expected["requests"]
    assert summary["heartbeats"]["overread_requests"] == expected["overread_requests"]
    assert summary["heartbeats"]["sealed"] == expected["sealed"]
    assert summary["leaked_bytes"] == expected["leaked_bytes"]
    assert summary["leaked_bytes_estimated"] == pytest.approx(
        expected["leaked_bytes_sealed"], abs=ESTIMATE_TOLERANCE_BYTES * leaking_answers
    )
    assert {_name(endpoint): endpoint["verdict"] for endpoint in endpoints} == expected["verdicts"]


def _name(endpoint: dict[str, str]) -> str:
    ip = endpoint["ip"]
    if endpoint["role"] == "client":
        return f"{ip} (client)"
    return f"[{ip}]:{endpoint['port']}" if ":" in ip else f"{ip}:{endpoint['port']}"
