"""Ports that containers were told are taken again."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeport.app.nodes.ports import FILE, RememberedPorts


def test_a_port_is_the_usual_one_until_another_was_taken(tmp_path: Path) -> None:
    folder = tmp_path / "nodes"
    ports = RememberedPorts(folder)
    assert ports.wanted("imds", 7) == 7
    ports.note("imds", 8)
    again = RememberedPorts(folder)
    assert (again.wanted("imds", 7), again.wanted("metadata", 9)) == (8, 9)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"imds": "x"}', "null"])
def test_a_file_that_tells_nothing_is_written_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    ports = RememberedPorts(tmp_path)
    assert ports.wanted("imds", 7) == 7
    ports.note("imds", 8)
    assert RememberedPorts(tmp_path).wanted("imds", 7) == 8


def test_without_a_folder_nothing_is_kept() -> None:
    RememberedPorts(None).note("imds", 8)
    assert RememberedPorts(None).wanted("imds", 7) == 7
