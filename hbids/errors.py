"""Errors that a user can mend."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["UserInputError"]


class UserInputError(Exception):
    """What a user wrote (options, configuration, signatures) cannot be used.

    ``problems`` holds one line of text for each mistake, all of them at once.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))
