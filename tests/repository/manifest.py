"""pcaps/MANIFEST.yaml, read."""

from __future__ import annotations

from typing import Any

import yaml

from tests.conftest import PCAPS

CAPTURES: dict[str, dict[str, Any]] = yaml.safe_load((PCAPS / "MANIFEST.yaml").read_text())["captures"]
"""The entries by file name."""
