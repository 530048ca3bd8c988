"""EVE lines to Redis: a list that a reader pops from, or a stream that readers follow. Needs ``hbids[redis]``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RedisSink"]

_TIMEOUT_S = 5
"""For an answer; a server that is busy saving answers within it."""


class RedisSink:
    """One key of a Redis server.

    ``stream_entries`` makes it a stream that keeps about so many entries, each with one field ``eve``; None makes it a
    list, to whose end lines are pushed, and which keeps them until somebody takes them. Where ``password`` is None, it
    comes from the environment variable REDISCLI_AUTH, as that of redis-cli does. When a connection breaks before the
    server's answer, the lines are sent again: they may be there twice, and are never missing.
    """

    must_open = False

    def __init__(
        self,
        name: str,
        *,
        host: str,
        port: int,
        key: str,
        database: int = 0,
        username: str | None = None,
        password: str | None = None,
        tls: bool = False,
        stream_entries: int | None = None,
    ) -> None:
        self.name = name
        self._key = key
        self._stream_entries = stream_entries
        self._client = Redis(
            host=host,
            port=port,
            db=database,
            username=username,
            password=password or os.environ.get("REDISCLI_AUTH"),
            ssl=tls,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )

    def open(self) -> None:
        """Connect, and see whether somebody answers."""
        self._ask(self._client.ping)

    def write(self, lines: Sequence[bytes]) -> int:
        """All lines or none."""
        if not lines:
            return 0
        entries = [line.rstrip(b"\n") for line in lines]
        if self._stream_entries is None:
            self._ask(lambda: self._client.rpush(self._key, *entries))
            return len(lines)
        pipeline = self._client.pipeline(transaction=True)
        for entry in entries:
            pipeline.xadd(self._key, {"eve": entry}, maxlen=self._stream_entries, approximate=True)
        self._ask(pipeline.execute)
        return len(lines)

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    @staticmethod
    def _ask(step: Any) -> None:
        try:
            step()
        except RedisError as error:
            raise OSError(str(error)) from error
