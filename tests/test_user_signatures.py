"""Signature files of users: what they change and add, and every mistake in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hbids.config import Config, Thresholds
from hbids.config_file import load as load_config
from hbids.errors import UserInputError
from hbids.signatures import in_force, shipped, shipped_files
from hbids.user_signatures import load

if TYPE_CHECKING:
    from pathlib import Path

OWN = """\
- sid: 1000001
  rev: 1
  title: "{claimed_length} bytes wanted in phase {phase}, {matches} so far"
  category: Policy Violation
  severity: 3
  match: {table: heartbeats, kind: request, server_port: [443, 8443]}
"""


def written(path: Path, text: str) -> Path:
    path.write_text(text if "signatures:" in text else f"signatures:\n{text}")
    return path


def problems_of(path: Path, text: str) -> list[str]:
    with pytest.raises(UserInputError) as error:
        load([written(path, text)])
    return [problem.removeprefix(f"{path}:") for problem in error.value.problems]


# --- what they change -------------------------------------------------------------------------------------------------


def test_a_change_says_only_what_shall_be_otherwise(tmp_path: Path) -> None:
    text = "- {sid: 1016000, severity: 4, title: 'asked for {overread}', metadata: {ticket: [SOC-17]}}\n"
    changed, ours = in_force(load([written(tmp_path / "mine.yaml", text)]))[1016000], shipped()[1016000]
    assert (changed.severity, changed.title) == (4, "asked for {overread}")
    assert (changed.rev, changed.category, changed.references) == (ours.rev, ours.category, ours.references)
    assert changed.metadata == ours.metadata | {"ticket": ["SOC-17"]}
    assert changed.place == f"{tmp_path / 'mine.yaml'}:2"


def test_a_signature_can_be_switched_off(tmp_path: Path) -> None:
    user = load([written(tmp_path / "mine.yaml", f"- {{sid: 1016500, enabled: no}}\n{OWN}  enabled: false\n")])
    assert user.disabled == {1016500, 1000001}
    assert user.added == ()
    assert in_force(user)[1016500].title == shipped()[1016500].title


def test_thresholds_move_where_the_finding_has_them(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.yaml", "- {sid: 1016210, thresholds: {flood_messages: 30, flood_window_s: 1.5}}\n")
    thresholds = load_config(signatures=[path]).thresholds
    assert thresholds == Thresholds(flood_messages=30, flood_window_ns=1_500_000_000)


def test_a_configuration_names_files_and_folders_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "site.d").mkdir()
    written(tmp_path / "site.d" / "b.yml", OWN.replace("1000001", "1000002"))
    written(tmp_path / "site.d" / "a.yaml", OWN)
    (tmp_path / "site.d" / "notes.txt").write_text("no signatures")
    written(tmp_path / "mine.yaml", "- {sid: 1016210, thresholds: {flood_messages: 30}}\n")
    path = tmp_path / "hbids.yaml"
    path.write_text("signatures: [mine.yaml, site.d]\nthresholds: {flood_messages: 50}\n")
    config = load_config(path, signatures=[tmp_path / "site.d" / "a.yaml"])  # named twice, read once
    assert config.signatures is not None
    assert [added.sid for added in config.signatures.added] == [1000001, 1000002]
    assert config.thresholds.flood_messages == 30


def test_without_files_nothing_is_changed() -> None:
    assert load_config() == Config()
    assert in_force(None) == shipped()


def test_defaults_hold_for_what_is_added(tmp_path: Path) -> None:
    text = f"defaults: {{metadata: {{owner: [ward-it]}}, references: [https://wiki]}}\nsignatures:\n{OWN}"
    signature = load([written(tmp_path / "mine.yaml", text)]).signatures[1000001]
    assert signature.metadata == {"owner": ["ward-it"]}
    assert signature.references == ["https://wiki"]


def test_columns_of_title_and_match_are_shown(tmp_path: Path) -> None:
    (added,) = load([written(tmp_path / "mine.yaml", OWN)]).added
    assert added.shown == ("kind", "server_port", "claimed_length", "phase")


def test_a_copy_of_our_own_changes_nothing() -> None:
    user = load(shipped_files())
    assert user.signatures.keys() == shipped().keys()
    assert all(signature == shipped()[sid] for sid, signature in user.signatures.items())
    assert (user.added, user.disabled, user.thresholds) == ((), frozenset(), {})


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaints"),
    [
        (OWN.replace("1000001", "7"), ["2: 7 is no sid of a site: use 1000000 to 1999999 without 1016000 to 1016999"]),
        (OWN + OWN, ["8: sid 1000001 is taken by"]),
        ("- {sid: 1016000, severity: 1}\n- {sid: 1016000, severity: 2}\n", ["3: sid 1016000 is taken by"]),
        ("- {sid: 1016999, severity: 1}\n", ["2: hbids has no signature 1016999: use one of `hbids signatures`"]),
        ("- {sid: 1016000, match: {table: flows}}\n", ["2: unknown key 'match'"]),
        ("- {sid: 1016000, severity: 0}\n", ["2: 0 is out of range: write a number from 1 to 4"]),
        ("- {sid: 1016000, enabled: maybe}\n", ["2: expected true or false"]),
        ("- {sid: 1016000, thresholds: {flood_messages: 3}}\n", ["2: 1016000 has no threshold 'flood_messages'"]),
        (
            "- {sid: 1016210, thresholds: {flood: 3}}\n",
            ["2: 1016210 has no threshold 'flood': it has flood_messages, flood_window_s"],
        ),
        ("- {sid: 1016210, thresholds: {flood_messages: 0}}\n", ["2: 0 is out of range"]),
        (
            "- {sid: 1016300, thresholds: {harvest_answers: 3}}\n- {sid: 1016301, thresholds: {harvest_answers: 4}}\n",
            ["3: harvest_answers is another at "],
        ),
        ("- {rev: 1}\n", ["2: a signature without category, match, severity, sid, title"]),
        ("- just text\n", ["2: expected a mapping, found 'just text'"]),
        (OWN.replace("sid: 1000001", "sid: one"), ["2: expected a whole number, found 'one'"]),
        (OWN.replace("{phase}", "{phaze}"), ["4: title: cannot fill in {phaze}"]),
        (OWN.replace("{phase}", "{ja3}"), ["4: title: cannot fill in {ja3}"]),
        (OWN.replace("kind: request", "kind: query"), ["7: kind cannot be 'query'"]),
        (OWN.replace("  match:", "  count: 5\n  match:"), ["2: count alone"]),
        (OWN.replace("  match:", "  count: 1\n  within_s: 0\n  match:"), ["7: 1 is out of range", "8: 0.0 is out of"]),
        ("signatures: {}\n", ["1: expected a list, found a mapping"]),
        ("rules: []\nsignatures: []\n", ["1: unknown key 'rules'"]),
    ],
)
def test_a_mistake_is_told_with_its_line_and_remedy(tmp_path: Path, text: str, complaints: list[str]) -> None:
    found = problems_of(tmp_path / "mine.yaml", text)
    assert len(found) == len(complaints), found
    for problem, complaint in zip(found, complaints, strict=True):
        assert problem.startswith(complaint)


def test_all_mistakes_of_all_files_come_at_once(tmp_path: Path) -> None:
    one, other, config = tmp_path / "one.yaml", tmp_path / "other.yaml", tmp_path / "hbids.yaml"
    written(one, OWN.replace("severity: 3", "severity: 9").replace("[443", "[99999"))
    written(other, OWN)
    config.write_text("limits: {flows: 0}\nsignatures: [one.yaml, nowhere.yaml, other.yaml]\n")
    with pytest.raises(UserInputError) as error:
        load_config(config)
    found = [problem.replace(f"{tmp_path}/", "").split(": ")[0] for problem in error.value.problems]
    assert found == ["hbids.yaml:1", "one.yaml:6", "one.yaml:7", "nowhere.yaml", "other.yaml:2"]


def test_a_folder_without_signatures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="give a file that can be read"):
        load([tmp_path])


def test_a_name_no_file_can_have_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "hbids.yaml"
    config.write_text('signatures: ["a\\0b"]\n')
    with pytest.raises(UserInputError, match="no name of a file"):
        load_config(config)


# --- whatever is written ----------------------------------------------------------------------------------------------

WORDS = (
    *("signatures", "defaults", "sid", "rev", "title", "category", "severity", "metadata", "references", "enabled"),
    *(
        "thresholds",
        "flood_messages",
        "match",
        "table",
        "not",
        "heartbeats",
        "sessions",
        "flows",
        "kind",
        "sni",
        "vlan",
    ),
    *("claimed_length", "client_addr", "client_random", "phase", "count", "within_s", "1000001", "1016210", "1016000"),
    *(
        "request",
        "10.0.0.0/8",
        "'> 5'",
        "5..9",
        "absent",
        "{overread}",
        "'{'",
        "yes",
        "-1",
        "0x10",
        "1e400",
        "*a",
        "&a x",
    ),
)
scalars = st.sampled_from(WORDS) | st.text(max_size=6) | st.integers().map(str)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(scalars, inner), max_size=4).map(
            lambda pairs: f"{{{', '.join(f'{key}: {value}' for key, value in pairs)}}}"
        )
    ),
    max_leaves=12,
)
entries = st.lists(st.tuples(st.sampled_from(WORDS), documents), max_size=8)


def _as_signature(pairs: list[tuple[str, str]]) -> str:
    return "signatures:\n- sid: 1000001\n" + "".join(f"  {key}: {value}\n" for key, value in pairs)


def mistakes_in(path: Path) -> list[str]:
    """Told in any way but this one, they fail the test."""
    try:
        load([path])
    except UserInputError as error:
        return error.problems
    return []


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text() | documents.map(lambda text: f"signatures: [{text}]") | entries.map(_as_signature))
def test_any_text_loads_or_its_mistakes_are_told_with_their_lines(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    for problem in mistakes_in(path):
        line, what, remedy = problem.removeprefix(f"{path}:").split(": ", 2)
        assert int(line) >= 1
        assert what
        assert remedy


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_any_bytes_load_or_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(data)
    assert all(problem.startswith(f"{path}:") for problem in mistakes_in(path))
