"""A real Suricata over capture files, with the content that hbids ships for it."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hbids.config import Config
from hbids.facts import Finding
from hbids.pipeline.eve_inputs import read_once
from hbids.pipeline.sidecar import Sidecar
from tests.conftest import REPOSITORY, require_tool

CONTENT = REPOSITORY / "signatures" / "suricata"
CONFIGURATION = Path("/etc/suricata/suricata.yaml")
RULES, FRAGMENT = CONTENT / "hbids.rules", CONTENT / "hbids.yaml"
SIZES = CONTENT / "hbids-sizes.yaml"
STOCK_RULES = Path("/etc/suricata/rules/tls-events.rules")
"""What Suricata itself ships about TLS."""


def suricata(*arguments: str | Path, rules: Path = RULES, fragment: Path | None = FRAGMENT) -> str:
    """Run it to its end; what it says. With the rules and nothing of the machine's."""
    include = ["--include", str(fragment)] if fragment else []
    command = [require_tool("suricata"), "-c", str(CONFIGURATION), *include, "-S", str(rules), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@cache
def eve_of(capture: Path, rules: Path = RULES, fragment: Path | None = FRAGMENT) -> Path:
    """The eve.json that it writes of a capture. Checksums are not looked at: cards fill them in after many a
    capture."""
    directory = Path(mkdtemp(prefix="hbids-suricata-"))
    suricata("-r", capture, "-l", directory, "-k", "none", rules=rules, fragment=fragment)
    return directory / "eve.json"


def judged(*inputs: Path, config: Config | None = None, engine: str = "auto") -> tuple[dict[str, Any], list[Finding]]:
    """What the sidecar makes of files of EVE lines: its summary, and what it would tell."""
    config = config or Config()
    findings: list[Finding] = []
    sidecar = Sidecar(config=config, engine=engine, on_finding=findings.append)
    result = read_once(sidecar, list(map(str, inputs)), config.eve)
    assert [problem for problem in result.problems if problem.severity == "error"] == []
    return result.summary(), findings
