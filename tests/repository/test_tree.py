"""The tree is one anybody can build: no trace of a machine, one version, documents that point at what exists."""

from __future__ import annotations

import configparser
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home/\w|root/|work/|tmp/venv|Users/\w)")
MARKDOWN_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
MAKE_TARGET = re.compile(r"\bmake ([a-z][a-z-]*)")


def tracked_files() -> list[Path]:
    """What git holds of this tree, links to folders left out."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout, so nothing says which files are ours")
    return [path for name in done.stdout.split("\0") if name and (path := REPOSITORY / name).is_file()]


def documents() -> list[Path]:
    return [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    traces = [
        f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()}"
        for path in tracked_files()
        if path.suffix not in {".lock", ".pcap", ".pcapng"} and path != Path(__file__)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert traces == []


def test_python_and_rust_carry_one_version() -> None:
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    cargo = tomllib.loads((REPOSITORY / "rust" / "Cargo.toml").read_text())
    assert setup["metadata"]["version"] == cargo["workspace"]["package"]["version"]


def test_every_folder_of_the_package_is_a_package() -> None:
    package = REPOSITORY / "hbids"
    folders = {path.parent for path in package.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_of_documents_lead_somewhere(document: Path) -> None:
    links = [link for link in MARKDOWN_LINK.findall(document.read_text()) if "://" not in link]
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_make_targets_named_in_documents_exist(document: Path) -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    code = " ".join(re.findall(r"`[^`]+`|^    .*$", document.read_text(), re.MULTILINE))
    assert set(MAKE_TARGET.findall(code)) <= targets
