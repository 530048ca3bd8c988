"""What a user writes for a destination of EVE lines, and the sink it means."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from hbids.errors import UserInputError
from hbids.eve.sinks.file import FileSink
from hbids.eve.sinks.resuming import ResumingSink
from hbids.eve.sinks.stdout import StdoutSink

if TYPE_CHECKING:
    from hbids.config import Sinks
    from hbids.eve.sinks.interface import Sink

__all__ = ["Beginning", "sink_for"]

_REDIS_PORT = 6379
_REDIS_FORM = "write it like redis://host:6379/key, with ?mode=stream for a stream"


class Beginning(Enum):
    """What becomes of what a file holds when a run begins."""

    NEW = auto()
    """It goes: the file holds one run."""
    APPENDED = auto()
    """It stays, and the run writes behind it."""
    RESUMED = auto()
    """It stays, and alerts that stand there already are not written again."""


def sink_for(destination: str, settings: Sinks, beginning: Beginning) -> Sink:
    """The sink for ``-``, ``unix:PATH``, ``syslog[:FACILITY]``, ``redis://HOST[:PORT]/KEY`` or a path, not yet open.

    A file of such a name is meant by ``./syslog``. Raises UserInputError.
    """
    kind, _, rest = destination.partition(":")
    if destination == "-":
        return StdoutSink()
    if kind == "unix":
        from hbids.eve.sinks.unix_socket import UnixSocketSink

        if not rest:
            raise UserInputError([f"--eve {destination}: no path: write it like unix:/run/eve.sock"])
        return UnixSocketSink(rest)
    if kind == "syslog":
        from hbids.eve.sinks.syslog import FACILITIES, SyslogSink

        facility = rest or "local5"  # Suricata's
        if facility not in FACILITIES:
            known = ", ".join(FACILITIES)
            raise UserInputError([f"--eve {destination}: no facility '{facility}': use one of {known}"])
        return SyslogSink(facility)
    if kind in {"redis", "rediss"}:
        return _redis(destination, settings)
    file = FileSink(destination, replace=beginning is Beginning.NEW)
    return ResumingSink(file) if beginning is Beginning.RESUMED else file


def _redis(destination: str, settings: Sinks) -> Sink:
    from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

    url = urlsplit(destination)
    try:
        from hbids.eve.sinks.redis import RedisSink
    except ModuleNotFoundError as error:
        raise UserInputError(
            [f"--eve {url.scheme}: {error.name} is not installed: pip install 'hbids[redis]'"]
        ) from error
    place = url.netloc.rpartition("@")[2]
    name = urlunsplit(url._replace(netloc=place))
    try:
        port = url.port or _REDIS_PORT
        options = {key: values[-1] for key, values in parse_qs(url.query, strict_parsing=bool(url.query)).items()}
        database = int(options.pop("db", "0"))
        mode = options.pop("mode", "list")
    except ValueError as error:
        raise UserInputError([f"--eve {name}: {error}: {_REDIS_FORM}"]) from error
    key = unquote(url.path.lstrip("/"))
    problems = [] if url.hostname else ["no host"]
    problems += [] if key else ["no key"]
    problems += [] if mode in {"list", "stream"} else [f"no mode '{mode}'"]
    problems += [f"unknown option '{option}'" for option in options]
    if problems:
        raise UserInputError([f"--eve {name}: {problem}: {_REDIS_FORM}" for problem in problems])
    return RedisSink(
        name,
        host=url.hostname or "",
        port=port,
        key=key,
        database=database,
        username=unquote(url.username) if url.username else None,
        password=unquote(url.password) if url.password else None,
        tls=url.scheme == "rediss",
        stream_entries=settings.redis_stream_entries if mode == "stream" else None,
    )
