"""Thresholds with their reasons, as they stand in ``hbids/config.py``: the one place that knows them."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from typing import TYPE_CHECKING

from hbids import config

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["described"]


def described(names: Iterable[str], thresholds: config.Thresholds) -> list[tuple[str, str, str]]:
    """Of each: its name in configuration files, the value in force, and the reason for the default."""
    settings, reasons = config.settings_of(config.Thresholds), _reasons()
    return [(name, _value(name, settings[name].name, thresholds), reasons[settings[name].name]) for name in names]


def _value(name: str, entry: str, thresholds: config.Thresholds) -> str:
    value, default = getattr(thresholds, entry), getattr(config.Thresholds(), entry)
    text, usual = (f"{number / 1e9:g}" if name != entry else f"{number}" for number in (value, default))
    return text if value == default else f"{text} (default {usual})"


def _reasons() -> dict[str, str]:
    """What stands below each field."""
    (section,) = ast.parse(inspect.getsource(config.Thresholds)).body
    assert isinstance(section, ast.ClassDef)
    return {
        entry.target.id: inspect.cleandoc(text.value.value).replace("\n", " ")
        for entry, text in pairwise(section.body)
        if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }
