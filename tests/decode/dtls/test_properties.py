"""Both engines agree, whatever the datagrams hold."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hbids.config import Limits
from hbids.decode.engine import native_available
from hbids.facts import Direction
from tests.conftest import missing
from tests.support import dtls, tls
from tests.support.conversation import SECOND_NS, TO_CLIENT, TO_SERVER, batch_of
from tests.support.decoding import TABLES, all_facts, differences, engine_called
from tests.support.dtls import DTLS_1_0, DTLS_1_2, DTLS_1_3, HELLO, Exchange, greeted

_bodies = st.one_of(
    st.binary(max_size=40),
    st.builds(dtls.heartbeat, st.integers(0, 3), st.sampled_from([0, 18, 1000, 0x4000]), st.binary(max_size=60)),
    st.builds(
        b"".join,
        st.lists(
            st.builds(
                dtls.fragment,
                st.sampled_from([tls.CLIENT_HELLO, tls.SERVER_HELLO, dtls.HELLO_VERIFY_REQUEST]),
                st.sampled_from([HELLO, dtls.server_hello_body(), dtls.client_hello_body(random=bytes(32)), b"short"]),
                st.integers(0, 2),
                st.integers(0, 90),
                st.none() | st.integers(0, 120),
            ),
            max_size=4,
        ),
    ),
)
_records = st.builds(
    dtls.record,
    st.sampled_from([20, 21, 22, 22, 23, 24, 24, 25, 0x2E]),
    _bodies,
    st.integers(0, 5) | st.integers(0, (1 << 48) - 1),
    epoch=st.sampled_from([0, 0, 0, 1, 1, 2, 0xFFFF]),
    version=st.sampled_from([DTLS_1_2, DTLS_1_2, DTLS_1_0, DTLS_1_3, dtls.BAD_VERSION, 0x0303]),
    length=st.none() | st.none() | st.integers(0, 0xFFFF),
)
_datagrams = st.lists(
    st.tuples(
        st.sampled_from([TO_SERVER, TO_CLIENT]),
        st.lists(_records, max_size=3).map(b"".join) | st.binary(max_size=40),
        st.none() | st.none() | st.none() | st.integers(0, 60),
        st.sampled_from([0, 1, 400]),
    ),
    max_size=12,
)


@settings(max_examples=400, deadline=None)
@given(datagrams=_datagrams, hello=st.booleans(), hello_bytes=st.sampled_from([50, 65_536]))
def test_both_engines_agree_on_made_up_datagrams(
    datagrams: list[tuple[Direction, bytes, int | None, int]], hello: bool, hello_bytes: int
) -> None:
    if not native_available():
        missing("the native engine")
    exchange = greeted() if hello else Exchange()
    for way, payload, captured, seconds in datagrams:
        exchange.now_ns += seconds * SECOND_NS
        exchange.send(way, payload, captured_bytes=captured)
    engines = [engine_called(name, Limits(hello_bytes=hello_bytes)) for name in ("native", "reference")]
    first, second = (all_facts(engine, [batch_of(exchange.frames)]) for engine in engines)
    for table in TABLES:
        assert differences(getattr(first, table), getattr(second, table)) == [], table
    counted = [{name: n for name, n in engine.counters().items() if n} for engine in engines]
    assert counted[0] == counted[1]
