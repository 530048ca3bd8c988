"""Detection content: complete, and its mistakes told where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hbids.config import Thresholds, settings_of
from hbids.errors import UserInputError
from hbids.signatures import load, shipped

if TYPE_CHECKING:
    from pathlib import Path

SIDS = {
    *(1016000, 1016001, 1016002, 1016003, 1016004, 1016010, 1016011, 1016020, 1016021, 1016030),
    *(1016100, 1016101, 1016102, 1016103, 1016110, 1016120, 1016121, 1016122),
    *(1016200, 1016201, 1016202, 1016203, 1016204, 1016210, 1016211, 1016212, 1016220),
    *(1016300, 1016301, 1016302, 1016303, 1016400, 1016401),
    *(1016500, 1016600),
}

GOOD = """
- {sid: 7, rev: 1, title: 'leak of {leaked_bytes} bytes', category: Information Leak, severity: 1}
"""


def problems_of(path: Path, text: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(UserInputError) as error:
        load([path])
    return [problem.removeprefix(str(path)) for problem in error.value.problems]


def test_every_finding_has_its_signature() -> None:
    assert set(shipped()) == SIDS | {1016900}  # of the sensor itself


@pytest.mark.parametrize("sid", sorted(SIDS))
def test_a_shipped_signature_says_what_consumers_look_for(sid: int) -> None:
    signature = shipped()[sid]
    assert 1 <= signature.severity <= 4
    assert signature.references
    assert signature.metadata["cve"] == ["CVE_2014_0160"]
    assert signature.metadata.keys() >= {"confidence", "attack_target", "affected_product", "created_at", "tag"}
    assert signature.metadata["signature_severity"][0] in {"Critical", "Major", "Minor", "Informational"}


def test_every_threshold_of_a_finding_is_named_by_it() -> None:
    named = {name for signature in shipped().values() for name in signature.thresholds}
    of_all_alerts = {"alert_window_s", "alert_sources"}
    assert named | of_all_alerts == settings_of(Thresholds).keys()
    assert named.isdisjoint(of_all_alerts)


def test_a_threshold_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    found = problems_of(tmp_path / "mine.yaml", "signatures:" + GOOD.replace("}\n", ", thresholds: [flood]}\n"))
    assert [problem.split(": ")[:2] for problem in found] == [[":2", "there is no threshold 'flood'"]]


def test_a_number_that_is_not_known_does_not_hurt() -> None:
    assert shipped()[1016100].text({"leaked_bytes": 16365}).endswith("16365 bytes so far, request claimed ?")
    assert "?" in shipped()[1016100].text({})


def test_defaults_hold_unless_a_signature_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "defaults: {references: [https://one], metadata: {tag: [a], cve: [b]}}\nsignatures:\n"
        "- {sid: 1, rev: 1, title: x, category: y, severity: 1, metadata: {tag: [c]}}\n"
        "- {sid: 2, rev: 1, title: x, category: y, severity: 1, references: [https://two]}\n"
    )
    found = load([path])
    assert found[1].metadata == {"tag": ["c"], "cve": ["b"]}
    assert found[1].references == ["https://one"]
    assert found[2].metadata == {"tag": ["a"], "cve": ["b"]}
    assert found[2].references == ["https://two"]


def test_all_mistakes_come_at_once_with_their_lines(tmp_path: Path) -> None:
    found = problems_of(
        tmp_path / "mine.yaml",
        "signatures:\n"
        "- sid: many\n"
        "  revv: 3\n"
        "  title: 'leak of {leeked_bytes}'\n"
        "  category: Information Leak\n"
        "  severity: 5\n"
        "- just text\n"
        "- {sid: 7, rev: 1, title: 'a {', category: b, severity: 1, metadata: {tag: []}}\n",
    )
    assert [problem.split(": ")[0] for problem in found] == [":2", ":2", ":3", ":4", ":6", ":7", ":7", ":8", ":8"]
    text = "\n".join(found)
    assert "expected a whole number, found 'many'" in text
    assert "a signature without rev" in text
    assert "unknown key 'revv': did you mean 'rev'?" in text
    assert "cannot fill in {leeked_bytes}" in text
    assert "5 is out of range: write a number from 1 to 4" in text
    assert "an empty list" in text


def test_a_sid_is_given_once_over_all_files(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    for path in (one, two):
        path.write_text("signatures:" + GOOD)
    with pytest.raises(UserInputError, match=f"{two}:2: sid 7 is taken by {one}:2"):
        load([one, two])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"signatures: ]", ":1: not YAML"),
        (b"a: \xff", ":1: not YAML"),
        (b"- 1", ":1: expected a mapping, found a list"),
        pytest.param(b"[" * 100_000, ":1: nested too deeply", id="deep"),
        (b"rules: []", ":1: unknown key 'rules'"),
        (b"signatures: &a [*a]", ":1: expected a mapping, found a list"),
    ],
)
def test_what_is_no_signature_file_is_refused(tmp_path: Path, text: bytes, complaint: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(text)
    with pytest.raises(UserInputError) as error:
        load([path])
    assert complaint in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match=r"nowhere\.yaml: No such file"):
        load([tmp_path / "nowhere.yaml"])
