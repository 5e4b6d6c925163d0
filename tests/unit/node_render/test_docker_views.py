"""Docker's JSON as the node's own values. Bodies follow the Docker Engine API and recordings."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.agent_metadata import recordings

from homeport.node.commands import CommandError
from homeport.node.drivers import docker_views as views
from homeport.node.drivers.agent_errors import go_duration
from homeport.node.drivers.docker_containers import _event_params, _event_time
from homeport.node.drivers.docker_images import PullMeter
from homeport.node.drivers.engine_client import negotiate
from homeport.node.drivers.pause_image import pause_layer, pause_program
from homeport.node.metadata.redirect import (
    BLOCKED,
    IMDS_IP,
    bridge_of,
    find_bridge,
    owner_chain,
    ruleset,
    slots_of,
)
from homeport.node.ports import DriverError, DriverUnavailableError, RunState

MOMENTS = st.integers(0, 4_102_444_800_000_000).map(
    lambda micros: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
)


def inspected(**state: Any) -> dict[str, Any]:
    return {
        "Id": "d" * 64,
        "Name": "/one",
        "Created": "2026-11-20T22:40:13.796078719Z",
        "Image": "sha256:1",
        "State": {
            "Status": "running",
            "StartedAt": "2026-11-20T22:40:14Z",
            "FinishedAt": "0001-01-01T00:00:00Z",
            **state,
        },
        "Config": {"Image": "bb:1"},
        "HostConfig": {"NetworkMode": "bridge"},
    }


class TestStatus:
    @pytest.mark.parametrize(
        ("word", "state"),
        [
            ("created", RunState.CREATED),
            ("running", RunState.RUNNING),
            ("paused", RunState.RUNNING),
            ("restarting", RunState.RUNNING),
            ("exited", RunState.EXITED),
            ("dead", RunState.EXITED),
            ("removing", RunState.EXITED),
        ],
    )
    def test_each_of_dockers_states_is_one_of_ours(self, word: str, state: RunState) -> None:
        assert views.container_status(inspected(Status=word)).state is state

    def test_an_exit_code_means_something_only_at_the_end(self) -> None:
        assert views.container_status(inspected(ExitCode=0)).exit_code is None
        assert views.container_status(inspected(Status="created", ExitCode=127)).exit_code is None
        assert views.container_status(inspected(Status="exited", ExitCode=3)).exit_code == 3

    def test_an_end_is_never_before_its_beginning(self) -> None:
        """Docker notes the start of a very short run after its end (seen on 20.10)."""
        early = views.container_status(inspected(Status="exited", FinishedAt="2026-11-20T22:40:13.9Z"))
        assert early.finished_at == early.started_at
        again = views.container_status(inspected(FinishedAt="2026-11-20T22:40:13.9Z"))
        assert again.finished_at is None

    @pytest.mark.parametrize(
        ("word", "status"), [("starting", "UNKNOWN"), ("healthy", "HEALTHY"), ("unhealthy", "UNHEALTHY")]
    )
    def test_health_is_unknown_until_it_is_known(self, word: str, status: str) -> None:
        found = views.container_status(inspected(Health={"Status": word, "Log": None})).health
        assert found is not None
        assert found.status == status

    def test_no_health_check_is_no_health(self) -> None:
        assert views.container_status(inspected()).health is None
        assert views.container_status(inspected(Health={"Status": "none"})).health is None

    def test_twins_of_published_ports_are_left_out(self) -> None:
        body = inspected()
        body["NetworkSettings"] = {
            "Ports": {
                "81/udp": None,
                "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
            }
        }
        (port,) = views.container_status(body).ports
        assert (port.bind_ip, port.container_port, port.host_port, port.protocol) == (
            "0.0.0.0",
            80,
            8080,
            "tcp",
        )


@given(MOMENTS, st.integers(0, 999))
def test_nanoseconds_are_cut_not_rounded(instant: datetime, nanos: int) -> None:
    text = f"{instant:%Y-%m-%dT%H:%M:%S}.{instant.microsecond:06d}{nanos:03d}Z".rjust(30, "0")
    assert views.instant(text) == instant


@pytest.mark.parametrize("text", [None, "", "0001-01-01T00:00:00Z"])
def test_dockers_zero_time_is_no_time(text: str | None) -> None:
    assert views.instant(text) is None


class TestSamples:
    RAW = next(r for p, r in recordings("metadata").items() if p.endswith("27/stats")).body

    def test_a_recorded_sample_is_read(self) -> None:
        found = views.sample(self.RAW)
        assert found is not None
        assert (found.cpu_total_ns, found.online_cpus, found.memory_bytes) == (19970204, 2, 335872)
        assert (found.rx_bytes, found.tx_bytes) == (726, 0)
        assert found.raw == self.RAW

    @pytest.mark.parametrize(
        ("details", "memory"),
        [
            ({"cache": 100, "inactive_file": 7}, 900),
            ({"inactive_file": 300}, 700),
            ({"cache": 2000}, 0),
            ({}, 1000),
        ],
    )
    def test_memory_is_without_what_can_be_given_back(self, details: dict[str, int], memory: int) -> None:
        """Source: Docker's `docker stats` documentation (cgroup v1 cache, v2 inactive_file)."""
        found = views.sample({**self.RAW, "memory_stats": {"usage": 1000, "stats": details}})
        assert found is not None
        assert found.memory_bytes == memory

    def test_blocks_are_added_up_by_direction(self) -> None:
        blocks = {
            "io_service_bytes_recursive": [
                {"op": "Read", "value": 1},
                {"op": "read", "value": 2},
                {"op": "Write", "value": 4},
            ]
        }
        found = views.sample({**self.RAW, "blkio_stats": blocks})
        assert found is not None
        assert (found.read_bytes, found.write_bytes) == (3, 4)

    def test_a_container_that_does_not_run_has_none(self) -> None:
        assert views.sample({**self.RAW, "read": "0001-01-01T00:00:00Z"}) is None
        assert views.sample({**self.RAW, "cpu_stats": {}}) is None


class TestReferences:
    @pytest.mark.parametrize(
        ("image", "repository", "tag"),
        [
            ("bb", "bb", "latest"),
            ("bb:1", "bb", "1"),
            ("127.0.0.1:5000/bb", "127.0.0.1:5000/bb", "latest"),
            ("127.0.0.1:5000/a/b:1", "127.0.0.1:5000/a/b", "1"),
            ("bb@sha256:ab", "bb", "sha256:ab"),
            ("r.io/bb:1@sha256:ab", "r.io/bb", "sha256:ab"),
        ],
    )
    def test_a_name_is_split_at_its_tag(self, image: str, repository: str, tag: str) -> None:
        assert views.split_reference(image) == (repository, tag)

    @pytest.mark.parametrize(
        ("image", "full"),
        [
            ("bb", "docker.io/library/bb"),
            ("me/bb", "docker.io/me/bb"),
            ("docker.io/bb", "docker.io/library/bb"),
            ("index.docker.io/me/bb:1", "docker.io/me/bb"),
            ("localhost/bb", "localhost/bb"),
            ("r.io/bb", "r.io/bb"),
        ],
    )
    def test_the_hub_is_written_out(self, image: str, full: str) -> None:
        assert views.normal_repository(image) == full

    def test_a_digest_of_another_repository_is_not_the_images(self) -> None:
        """Source: a recording of the real agent (CannotPullImageManifestError for such an image)."""
        body = {"Id": "sha256:1", "RepoDigests": ["r.io/other@sha256:aa", "bb@sha256:bb"]}
        assert views.image_info(body, "docker.io/library/bb:1").digest == "sha256:bb"
        assert views.image_info(body, "r.io/bb").digest is None
        assert views.image_info(body).digest == "sha256:aa"


class TestPullMeter:
    def test_layers_are_added_and_finished(self) -> None:
        meter = PullMeter("bb")
        said = [
            ({"status": "Pulling from x", "id": "1"}, False),
            ({"status": "Downloading", "id": "a", "progressDetail": {"current": 1, "total": 10}}, True),
            ({"status": "Downloading", "id": "b", "progressDetail": {"current": 5, "total": 20}}, True),
            ({"status": "Download complete", "id": "a", "progressDetail": {}}, True),
            ({"status": "Pull complete", "id": "a"}, False),
            ({"status": "Already exists", "id": "c"}, False),
            ({"status": "Digest: sha256:1"}, False),
        ]
        assert [meter.take(line) for line, _ in said] == [changed for _, changed in said]
        assert (meter.now().done_bytes, meter.now().total_bytes) == (15, 30)


def test_frames_of_both_streams_become_lines() -> None:
    def frame(stream: int, data: bytes) -> bytes:
        return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data

    data = frame(1, b"one\ntw") + frame(1, b"o\n") + frame(2, b"\xffthree")
    assert views.log_lines(data, terminal=False) == ("one", "two", "\ufffdthree")
    assert views.log_lines(b"a\r\nb\r\n", terminal=True) == ("a", "b")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (45, "45s"), (60, "1m0s"), (180, "3m0s"), (5400, "1h30m0s"), (3600, "1h0m0s")],
)
def test_durations_are_spelled_as_go_does(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


class TestNegotiation:
    @pytest.mark.parametrize(
        ("offered", "path"), [("1.41", "/v1.41"), ("1.24", "/v1.24"), ("1.99", "/v1.47")]
    )
    def test_the_daemons_version_is_spoken_as_far_as_it_is_known(self, offered: str, path: str) -> None:
        assert negotiate(offered).path == path

    @pytest.mark.parametrize("offered", ["", "1.23", "one", "1.2.3"])
    def test_an_unusable_daemon_is_no_daemon(self, offered: str) -> None:
        with pytest.raises(DriverUnavailableError):
            negotiate(offered)


@given(MOMENTS)
def test_the_next_subscription_begins_where_the_last_event_was(instant: datetime) -> None:
    seconds, _, nanos = _event_params(instant)["since"].partition(".")
    event = {"timeNano": int(seconds) * 1_000_000_000 + int(nanos)}
    assert abs((_event_time(event, instant) - instant).total_seconds()) < 2e-6


class TestPauseProgram:
    @pytest.mark.parametrize(("architecture", "machine"), [("x86_64", 62), ("aarch64", 183)])
    def test_it_is_one_loadable_segment(self, architecture: str, machine: int) -> None:
        program = pause_program(architecture)
        assert program[:7] == b"\x7fELF\x02\x01\x01"
        assert int.from_bytes(program[18:20], "little") == machine
        entry = int.from_bytes(program[24:32], "little")
        base = int.from_bytes(program[64 + 16 : 64 + 24], "little")
        assert entry - base == 120
        assert int.from_bytes(program[64 + 32 : 64 + 40], "little") == len(program)
        assert pause_layer(architecture) == pause_layer(architecture)

    def test_arms_instructions_are_the_manuals(self) -> None:
        """Source: Arm Architecture Reference Manual, MOVZ, ADR, SVC, B; the action follows the code."""
        code = pause_program("aarch64")[120:-32]
        words = [int.from_bytes(code[i : i + 4], "little") for i in range(0, len(code), 4)]
        assert words[:3] == [0xD28010C8, 0xD2800220, 0x10000000 | (len(words) - 2) << 5 | 1]
        assert words[5] == 0xD4000001
        assert words[6] == 0xD2800928
        assert words[-1] == 0x17FFFFFA

    def test_arms_jumps_lead_where_the_program_goes_on(self) -> None:
        """Source: Arm Architecture Reference Manual, ADR, CBZ, B.cond, B: words from themselves."""
        code = pause_program("aarch64", leaving=True)[120:]
        words = [int.from_bytes(code[i : i + 4], "little") for i in range(0, len(code) - 40, 4)]
        leave, wait = words.index(0xD2800C28), words.index(0xD2801128)  # movz x8, 97 and 137
        (refused,) = [i for i, word in enumerate(words) if word >> 24 == 0xB4]
        assert refused + (words[refused] >> 5 & 0x7FFFF) == wait
        (again,) = [i for i, word in enumerate(words) if word >> 24 == 0x54]
        assert again + (words[again] >> 5 & 0x7FFFF) - (1 << 19) == wait
        (back,) = [i for i, word in enumerate(words) if word >> 26 == 0b000101]
        assert back + (words[back] & 0x3FFFFFF) - (1 << 26) == leave
        addresses = [i for i, word in enumerate(words) if word & 0x9F000000 == 0x10000000]
        told = [4 * i + ((words[i] >> 5 & 0x7FFFF) << 2 | words[i] >> 29 & 3) for i in addresses]
        action, signals = len(code) - 40, len(code) - 8
        assert told == [action, signals, signals]
        assert code[signals:] == (1 << 9).to_bytes(8, "little"), "SIGUSR1"

    def test_another_architecture_is_refused(self) -> None:
        with pytest.raises(DriverError, match="riscv64"):
            pause_program("riscv64")


class TestRedirect:
    def test_no_slot_is_dockers_own(self) -> None:
        assert 0x42 not in slots_of("x")
        assert len(set(slots_of("x"))) == 255

    @given(st.text(), st.text())
    def test_homeports_do_not_share_an_owner(self, one: str, other: str) -> None:
        assert (owner_chain(one) == owner_chain(other)) == (one == other)

    async def test_the_bridges_address_is_found_one_way_or_the_other(self) -> None:
        async def says(*command: str, stdin: str = "") -> str:
            assert command[-1] == "br9"
            return json.dumps([{"addr_info": [{"local": "10.9.0.1"}]}])

        async def fails(*command: str, stdin: str = "") -> str:
            raise CommandError("no such device")

        options = {"com.docker.network.bridge.name": "br9"}
        told = {"Options": options, "IPAM": {"Config": [{"Gateway": "fd00::1"}, {"Gateway": "10.8.0.1/24"}]}}
        found = bridge_of(told)
        assert found is not None
        assert (found.link, found.gateway) == ("br9", "10.8.0.1")
        silent = {"Options": options, "IPAM": {"Config": [{"Subnet": "10.9.0.0/16"}]}}
        assert bridge_of(silent) is None
        found = await find_bridge(silent, says)
        assert found is not None
        assert (found.link, found.gateway) == ("br9", "10.9.0.1")
        assert await find_bridge(silent, fails) is None

    def test_only_our_containers_are_sent_to_our_instance_metadata(self) -> None:
        """What anybody else asks of 169.254.169.254 goes where it always went: each rule names the slot."""
        bridge = bridge_of({"IPAM": {"Config": [{"Gateway": "172.17.0.1"}]}})
        assert bridge is not None
        assert IMDS_IP not in ruleset(0x0A, bridge, 51679)
        ours = 'iifname "docker0" ether saddr & 03:ff:00:00:00:00 == 02:0a:00:00:00:00'
        for port, verdicts in ((51681, ["dnat to 172.17.0.1:51681", "drop"]), (BLOCKED, ["drop"])):
            rules = [rule for rule in ruleset(0x0A, bridge, 51679, port).splitlines() if IMDS_IP in rule]
            assert all(f" prerouting {ours} ip daddr {IMDS_IP} " in rule for rule in rules)
            assert all(rule.endswith(verdict) for rule, verdict in zip(rules, verdicts, strict=True))

    def test_rules_name_the_slot_the_bridge_and_the_port(self) -> None:
        bridge = bridge_of({"IPAM": {"Config": [{"Gateway": "172.17.0.1"}]}})
        assert bridge is not None
        text = ruleset(0x0A, bridge, 51679)
        assert "== 02:0a:00:00:00:00" in text
        assert "dnat to 172.17.0.1:51679" in text
        assert text.count("homeport-metadata-0a") == 6
