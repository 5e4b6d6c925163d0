"""Settings are checked before anything starts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.app.settings import (
    KNOWN_VARIABLES,
    AuthMode,
    SettingsError,
    UpSettings,
    default_data_dir,
    is_loopback,
    parse_attributes,
    parse_issuers,
    refuse_unknown,
)


def up(**changes) -> UpSettings:
    return UpSettings(**{"data_dir": Path("/d"), "installation_id": "i", **changes})


@given(st.integers())
def test_a_port_is_one_that_exists(port: int) -> None:
    if 1 <= port <= 65535:
        assert up(port=port).port == port
    else:
        with pytest.raises(SettingsError):
            up(port=port)


@pytest.mark.parametrize("region", ["", "us_east_1", "US-EAST-1", "us-east-1\n", "useast1", "us-east-"])
def test_a_region_looks_like_one(region: str) -> None:
    with pytest.raises(SettingsError):
        up(region=region)


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-2", "us-gov-west-1", "ap-southeast-5"])
def test_real_regions_are_taken(region: str) -> None:
    assert up(region=region).region == region


@pytest.mark.parametrize("account", ["", "1234", "12345678901a", "1234567890123", "\u0661" * 12])
def test_an_account_has_twelve_digits(account: str) -> None:
    with pytest.raises(SettingsError):
        up(account_id=account)


@pytest.mark.parametrize("instances", [-1, 65])
def test_instances_have_bounds(instances: int) -> None:
    with pytest.raises(SettingsError):
        up(instances=instances)


@pytest.mark.parametrize("count", [0, 100_001])
def test_the_quota_of_tasks_has_bounds(count: int) -> None:
    with pytest.raises(SettingsError):
        up(tasks_per_service=count)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_without_authentication_only_loopback_is_served(host: str) -> None:
    assert up(host=host).host == host
    with pytest.raises(SettingsError) as caught:
        up(host=host, auth=AuthMode.OFF)
    assert caught.value.remedy


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_loopback_may_go_without_authentication(host: str) -> None:
    assert is_loopback(host)
    assert up(host=host, auth=AuthMode.OFF).auth is AuthMode.OFF


@pytest.mark.parametrize(
    ("host", "endpoint"),
    [
        ("127.0.0.1", "http://127.0.0.1:4566"),
        ("0.0.0.0", "http://127.0.0.1:4566"),
        ("::", "http://[::1]:4566"),
        ("::1", "http://[::1]:4566"),
        ("10.0.0.5", "http://10.0.0.5:4566"),
    ],
)
def test_the_endpoint_can_be_reached_from_here(host: str, endpoint: str) -> None:
    assert up(host=host).endpoint == endpoint


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        up().port = 1  # type: ignore[misc]


def test_a_misspelt_variable_is_refused_and_the_known_ones_named() -> None:
    refuse_unknown({"HOMEPORT_DATA_DIR": "/x", "PATH": "/bin"})
    with pytest.raises(SettingsError, match="HOMEPORT_DATADIR") as caught:
        refuse_unknown({"HOMEPORT_DATADIR": "/x"})
    assert all(name in caught.value.remedy for name in KNOWN_VARIABLES)


@pytest.mark.parametrize(
    ("environ", "is_root", "expected"),
    [
        ({"HOME": "/root"}, True, "/var/lib/homeport"),
        ({"HOME": "/home/u"}, False, "/home/u/.local/share/homeport"),
        ({"HOME": "/home/u", "XDG_DATA_HOME": "/data"}, False, "/data/homeport"),
        ({"HOME": "/home/u", "XDG_DATA_HOME": ""}, False, "/home/u/.local/share/homeport"),
        ({"HOMEPORT_DATA_DIR": "/chosen"}, True, "/chosen"),
    ],
)
def test_the_data_directory_is_where_the_standards_say(environ, is_root: bool, expected: str) -> None:
    assert default_data_dir(environ, is_root=is_root) == Path(expected)


@pytest.mark.parametrize("group", ["", "a b ", "x" * 129])
def test_a_group_of_instances_has_a_name_that_an_attribute_can_have(group: str) -> None:
    with pytest.raises(SettingsError):
        up(auto_scaling_groups=(group,))
    assert up(auto_scaling_groups=("spare", "steady")).auto_scaling_groups == ("spare", "steady")


def test_attributes_are_names_and_values() -> None:
    assert parse_attributes(["stack=prod", "homeport.auto-scaling-group=a"]) == {
        "stack": "prod",
        "homeport.auto-scaling-group": "a",
    }
    assert parse_attributes([]) == {}


@pytest.mark.parametrize("text", ["stack", "=prod", "stack=", "st ack=prod", "ecs.os-type=linux", "a=b "])
def test_what_is_no_attribute_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_attributes([text])


def test_the_audit_logs_files_have_a_size_and_a_number() -> None:
    assert up(audit_file_mebibytes=1, audit_files=2).audit_files == 2
    for wrong in ({"audit_file_mebibytes": 0}, {"audit_file_mebibytes": 1025}, {"audit_files": 1}):
        with pytest.raises(SettingsError):
            up(**wrong)


def test_an_issuer_is_given_with_its_keys(tmp_path: Path) -> None:
    plain = tmp_path / "keys.json"
    plain.write_text('{"keys": []}')
    given = parse_issuers([f"https://issuer.example/pool/={plain}", f"https://other.example:8443={plain}"])
    assert given == {"https://issuer.example/pool": plain, "https://other.example:8443": plain}


@pytest.mark.parametrize(
    "text",
    ["", "https://issuer.example", "=FILE", "https://issuer.example=", "http://issuer.example=FILE",
     "https://issuer.example?x=FILE", "https://issuer.example/a b=FILE", "https://issuer.example=NOWHERE",
     "https://issuer.example=NO-JSON", "https://issuer.example=NO-KEYS"],
)  # fmt: skip
def test_what_is_no_issuer_with_its_keys_is_refused(tmp_path: Path, text: str) -> None:
    for name, content in {"FILE": '{"keys": []}', "NO-JSON": "{", "NO-KEYS": "[]"}.items():
        (tmp_path / name).write_text(content)
    for name in ("FILE", "NO-JSON", "NO-KEYS", "NOWHERE"):
        text = text.replace(f"={name}", f"={tmp_path / name}")
    with pytest.raises(SettingsError):
        parse_issuers([text])


def test_an_issuer_is_given_once(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text('{"keys": []}')
    with pytest.raises(SettingsError, match="twice"):
        parse_issuers([f"https://issuer.example={file}", f"https://issuer.example/={file}"])
