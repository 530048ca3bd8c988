"""Writes docs/detectors.md from the docstrings of the detectors and the signatures they raise, and docs/coverage.md
from the cases of tests/coverage (``make docs``)."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from types import ModuleType

from hbids import signatures
from hbids.detect import DETECTORS, tool
from tools.coverage_page import coverage_page

__all__ = ["COVERAGE_PAGE", "PAGE", "detector_modules", "detectors_page", "sids_of"]

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, COVERAGE_PAGE = DOCS / "detectors.md", DOCS / "coverage.md"

INTRODUCTION = """\
<!-- Written by `make docs` from the docstrings in hbids/detect and from signatures/heartbleed.yaml: edit those. -->

# Detectors

What hbids can find, one chapter a detector. `{words in braces}` stand for the numbers of the finding, which
[eve.md](eve.md) explains; severity runs from 1 (worst) to 4. The code is in [hbids/detect](../hbids/detect), one file a
detector; `hbids signatures show SID` prints everything known about a signature. Thresholds are named as in
[config.py](../hbids/config.py), which gives their defaults with the reason; in a configuration file times are in
seconds, `_s` in place of `_ns`.
"""


def detector_modules() -> list[ModuleType]:
    """The modules of the detectors, in the order in which they look at the facts."""
    return [*dict.fromkeys(sys.modules[detector.__module__] for detector in DETECTORS), tool]


def sids_of(module: ModuleType) -> list[int]:
    """The signatures a detector raises: the numbers of our range in its code."""
    nodes = ast.walk(ast.parse(inspect.getsource(module)))
    numbers = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, int)}
    return sorted(number for number in numbers if 1016000 <= number <= 1016999)


def detectors_page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([INTRODUCTION, *(_chapter(module) for module in detector_modules())])


def _chapter(module: ModuleType) -> str:
    title, _, text = inspect.cleandoc(module.__doc__ or "").partition("\n\n")
    name = module.__name__.rpartition(".")[2]
    lines = [f"## {title.rstrip('.')} (`{name}`)"]
    for line in text.splitlines():
        lines += [line.strip()] if line.startswith(" ") else ["", f"**{line}.**"]
    lines += ["", "| sid | severity | signature |", "|---|---|---|"]
    for sid in sids_of(module):
        signature = signatures.shipped()[sid]
        lines.append(f"| {sid} | {signature.severity} | {signature.title} |")
    return "\n".join(lines).replace("``", "`") + "\n"


if __name__ == "__main__":
    PAGE.write_text(detectors_page())
    COVERAGE_PAGE.write_text(coverage_page())
