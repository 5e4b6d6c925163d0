"""What `homeport down` may remove, and what others still need."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from homeport.app.sample import REPOSITORY
from homeport.app.settings import INSTALLATION_LABEL
from homeport.cli import down
from homeport.node.drivers.pause_image import PAUSE_IMAGE


class Docker:
    """Enough of an engine, with containers by name and label."""

    def __init__(self, **containers: str) -> None:
        self.present = containers
        self.ended: list[str] = []
        self.images = [f"{REPOSITORY}:1", PAUSE_IMAGE, "web:1"]

    def containers(self, *, labels: Mapping[str, str], running_only: bool = False) -> list[Mapping[str, Any]]:
        del running_only
        wanted = labels.get(INSTALLATION_LABEL)
        return [{"Id": name} for name, label in self.present.items() if not wanted or label == wanted]

    def stop(self, container_id: str, *, grace_seconds: int) -> None:
        self.ended.append(f"{container_id} after {grace_seconds} s")

    def remove(self, container_id: str) -> None:
        del self.present[container_id]

    def volumes(self, *, label: str) -> list[str]:
        return [label]

    def remove_volume(self, name: str) -> None:
        self.ended.append(name)

    def image_names(self, repository: str) -> list[str]:
        return [image for image in self.images if image.startswith(repository)]

    def remove_image(self, name: str) -> None:
        self.images.remove(name)


def own_engine(place: Path) -> None:
    """This process stands for a dockerd that was started for `place`."""
    (place / "docker").mkdir(parents=True)
    started_at = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    (place / "docker" / "dockerd.pid").write_text(f"{os.getpid()} {started_at}\n")


def test_only_what_is_labelled_as_ours_is_stopped_and_removed() -> None:
    docker = Docker(mine="a", other="b")
    down.remove_containers(docker, "a", grace_seconds=3)  # type: ignore[arg-type]
    assert docker.ended == ["mine after 3 s", f"{INSTALLATION_LABEL}=a"]
    assert docker.present == {"other": "b"}


def test_only_images_that_homeport_builds_are_removed() -> None:
    docker = Docker()
    down.remove_images(docker)  # type: ignore[arg-type]
    assert docker.images == ["web:1"]


@pytest.mark.parametrize(
    ("containers", "is_alone", "stopped"),
    [({}, True, True), ({"other": "b"}, True, False), ({}, False, False)],
)
def test_an_engine_of_ours_ends_only_when_nobody_uses_it(
    containers: dict[str, str],
    is_alone: bool,
    stopped: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own_engine(tmp_path)
    ended: list[Path] = []
    monkeypatch.setattr(down, "stop_started", ended.append)
    down._end_engine(Docker(**containers), tmp_path, is_alone=is_alone)  # type: ignore[arg-type]
    assert ended == ([tmp_path] if stopped else [])


def test_an_engine_of_others_is_never_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(down, "stop_started", pytest.fail)
    down._end_engine(Docker(), tmp_path, is_alone=True)  # type: ignore[arg-type]


def test_a_purge_leaves_nothing(tmp_path: Path) -> None:
    place = tmp_path / "data"
    (place / "nodes").mkdir(parents=True)
    for name in ("homeport.db", "homeport.db-wal", "connection.json", "installation", "up.lock"):
        (place / name).touch()
    (place / "sample").symlink_to(tmp_path)
    down._purge(place)
    assert not place.exists()
    assert tmp_path.exists()


def test_a_purge_deletes_nobody_elses_files(tmp_path: Path) -> None:
    (tmp_path / "installation").touch()
    (tmp_path / "thesis.txt").touch()
    down._purge(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_purge_leaves_what_a_running_engine_of_ours_needs(tmp_path: Path) -> None:
    own_engine(tmp_path)
    (tmp_path / "docker" / "homeport-runc").touch()
    (tmp_path / "homeport.db").touch()
    down._purge(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["docker"]
    assert (tmp_path / "docker" / "homeport-runc").exists()
