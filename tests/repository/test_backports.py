"""How `make test` finds the backports of Debian, where Suricata is: by the machine's own package sources."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

ONE_LINE = """\
# deb http://example.org/debian bookworm main
deb http://example.org/debian bookworm main contrib
deb-src http://example.org/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] http://example.org/debian bookworm main # by hand
deb http://example.org/debian-security bookworm-security main
deb http://example.org/debian bookworm-updates main
"""
FROM_ONE_LINE = """\
deb http://example.org/debian bookworm-backports main contrib
deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] http://example.org/debian bookworm-backports main # by hand
"""

PARAGRAPHS = """\
# What the installer wrote.
Types: deb
# A mirror nearby.
URIs: http://example.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://example.org/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
FROM_PARAGRAPHS = """\
Types: deb
URIs: http://example.org/debian
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
Suites: bookworm-backports

"""

OTHERWISE_WRITTEN = """\
Enabled: yes
types: deb deb-src
uris: http://example.org/debian
suites:
 bookworm-updates
\tbookworm
components: main
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----
\x20
Types: deb
URIs: http://example.org/tool
Suites: stable
Components: main"""
FROM_OTHERWISE_WRITTEN = """\
Enabled: yes
types: deb deb-src
uris: http://example.org/debian
components: main
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----
Suites: bookworm-backports

"""


def backports(folder: Path, suite: str, files: dict[str, str]) -> tuple[str, str]:
    """What is written of a machine's sources: one line each, and paragraphs."""
    apt, out = folder / "apt", folder / "out"
    (apt / "sources.list.d").mkdir(parents=True)
    out.mkdir()
    for name, text in files.items():
        (apt / name).write_text(text)
    subprocess.run([REPOSITORY / "tools" / "backports-entries.sh", apt, suite, out], check=True)
    return (out / "hbids-backports.list").read_text(), (out / "hbids-backports.sources").read_text()


@pytest.mark.parametrize(
    ("files", "lines", "paragraphs"),
    [
        ({}, "", ""),
        ({"sources.list": ONE_LINE}, FROM_ONE_LINE, ""),
        ({"sources.list.d/debian.list": ONE_LINE}, FROM_ONE_LINE, ""),
        ({"sources.list.d/debian.sources": PARAGRAPHS}, "", FROM_PARAGRAPHS),
        ({"sources.list.d/debian.sources": OTHERWISE_WRITTEN}, "", FROM_OTHERWISE_WRITTEN),
        (
            {"sources.list.d/a.sources": OTHERWISE_WRITTEN, "sources.list.d/b.sources": PARAGRAPHS},
            "",
            FROM_OTHERWISE_WRITTEN + FROM_PARAGRAPHS,
        ),
        ({"sources.list": ONE_LINE, "sources.list.d/debian.sources": PARAGRAPHS}, FROM_ONE_LINE, FROM_PARAGRAPHS),
    ],
)
def test_entries_of_the_suite_become_those_of_its_backports(
    tmp_path: Path, files: dict[str, str], lines: str, paragraphs: str
) -> None:
    assert backports(tmp_path, "bookworm", files) == (lines, paragraphs)


def test_another_release_has_its_own(tmp_path: Path) -> None:
    files = {"sources.list.d/debian.sources": PARAGRAPHS.replace("bookworm", "trixie")}
    assert backports(tmp_path, "trixie", files) == ("", FROM_PARAGRAPHS.replace("bookworm", "trixie"))
