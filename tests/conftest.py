"""What tests share: the engines, the captures outside the repository, the program itself, and tools of the machine.

A thing a test needs and the machine lacks makes it skip with the reason; in CI (``CI`` set) it fails instead.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hbids.decode.engine import native_available

REPOSITORY = Path(__file__).resolve().parents[1]
PCAPS = REPOSITORY / "pcaps"


def missing(what: str) -> NoReturn:
    """End this test, or at module level this module's tests, because ``what`` is not there."""
    if os.environ.get("CI"):
        pytest.fail(f"missing in CI: {what}", pytrace=False)
    pytest.skip(f"missing: {what}", allow_module_level=True)


def require_tool(name: str) -> str:
    """The path of a program of the machine, such as tshark."""
    return shutil.which(name) or missing(f"the program {name}; `make test` installs it where it may")


def shared_path(name: str) -> Path:
    """A file or folder of ``shared``, which lies beside the repository where hbids is developed."""
    path = REPOSITORY.parent / "shared" / name
    if not path.exists():
        missing(f"../shared/{name}, which comes with the development machines")
    return path


@pytest.fixture(params=["native", "reference"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    name: str = request.param
    if name == "native" and not native_available():
        missing("the native engine; install Rust 1.85 or newer, then `make clean test`")
    return name


@pytest.fixture(scope="session")
def corpus_labels() -> dict[str, dict[str, Any]]:
    """What is known of each capture of ``shared/corpus``, by file name."""
    labels: dict[str, dict[str, Any]] = json.loads((shared_path("corpus") / "labels.json").read_text())
    return labels


def run_hbids(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run the command line program as a user would; its exit status is for the test to judge."""
    done = subprocess.run(
        [sys.executable, "-m", "hbids", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
