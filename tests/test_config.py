"""The configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hbids.config import Config, Limits, Output, Sinks
from hbids.config_file import load
from hbids.errors import UserInputError

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_left_out_keeps_its_default(tmp_path: Path) -> None:
    path = tmp_path / "hbids.yaml"
    path.write_text(
        "limits: {flows: 1000, tls_timeout_s: 0.5, vxlan_ports: [4789, 14789], teredo_ports: []}\n"
        "output: {community_id_seed: 0, sensor_name: 12}\n"
        "home_networks: [10.0.0.1/8, 'fd00::/8']\n"
    )
    assert load(path) == Config(
        limits=Limits(flows=1000, tls_timeout_ns=500_000_000, vxlan_ports=(4789, 14_789), teredo_ports=()),
        output=Output(sensor_name="12"),
        home_networks=("10.0.0.0/8", "fd00::/8"),
    )


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "hbids.yaml"
    path.write_text("# nothing yet\n")
    assert load(path) == Config()


def test_all_mistakes_come_at_once_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "hbids.yaml"
    path.write_text(
        "limit: {flows: 5}\n"
        "limits:\n"
        "  tls_timeout: 60\n"
        "  flows: 0\n"
        "  hole_wait_s: .inf\n"
        "  hello_bytes: 1.5\n"
        "  layers: 7\n"
        "  gtp_ports: [2152, 65536]\n"
        "  geneve_ports: 6081\n"
        "thresholds: [3]\n"
        "output: {community_id_seed: 65536}\n"
        "home_networks: [10.0.0.0/33]\n"
    )
    with pytest.raises(UserInputError) as error:
        load(path)
    found = [problem.removeprefix(str(path)) for problem in error.value.problems]
    assert found == [
        ":1: unknown key 'limit': did you mean 'limits'?",
        ":3: unknown key 'tls_timeout': did you mean 'tls_timeout_s'?",
        ":4: 0 is out of range: write a number from 1 to 281474976710656",
        ":5: expected a number, found '.inf': write a number",
        ":6: expected a whole number, found '1.5': write a whole number",
        ":7: 7 is out of range: write a number from 8 to 281474976710656",
        ":8: 65536 is out of range: write a number from 1 to 65535",
        ":9: expected a list, found '6081': write '- item' lines or [a, b]",
        ":10: expected a mapping, found a list: write 'key: value' lines",
        ":11: 65536 is out of range: write a number from 0 to 65535",
        ":12: '10.0.0.0/33' is not a network: write it like 10.0.0.0/8 or fd00::/8",
    ]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match=r"nowhere\.yaml: No such file"):
        load(tmp_path / "nowhere.yaml")


def test_a_reload_takes_what_it_can_and_names_what_waits() -> None:
    running = Config(limits=Limits(flows=1000), output=Output(sensor_name="old"))
    newer = Config(limits=Limits(flows=2000), sinks=Sinks(queue_lines=5), output=Output(sensor_name="new"))
    taken, waiting = running.reloaded(newer)
    assert taken == Config(limits=Limits(flows=1000), output=Output(sensor_name="new"))
    assert waiting == ["limits.flows", "sinks.queue_lines"]
