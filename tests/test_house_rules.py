"""Rules of the house that no linter knows. A rule that cannot fail here is advice."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from homeport.app.wiring import MANIFESTS, Manifest
from homeport.cli.main import COMMANDS, build
from homeport.core.operations import any_resource
from homeport.services.ec2 import manifest as ec2
from homeport.wire.model import service_api

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "homeport"
GENERATED = SOURCE / "wire" / "gen"
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

LONG_MODULES: Mapping[str, str] = {
    "agentproto/messages.py": "the protocol's frames one after the other: a list, not a story",
}
LONG_FUNCTIONS: Mapping[str, str] = {
    "app/wiring.py:build_control_plane": "the parts one after the other",
    "cli/up.py:up": "its options one after the other, each with its help",
    "services/ecs/view/services.py:service_view": "one literal, member by member as ECS shows them",
}

REAL_CLOCK: Mapping[str, str] = {
    "tests/kit/behind_balancer.py": "a real balancer and its containers are asked until they are so far",
    "tests/sim/test_crash.py": "its callers are threads that ask a control plane which dies under them",
}

WITHOUT_RESOURCE: Mapping[str, frozenset[str]] = {
    "acm": frozenset({"ListCertificates", "RequestCertificate"}),
    "ec2": frozenset(name for name in ec2.operations.names() if name.startswith("Describe")),
    "ecs": frozenset(
        {
            "DiscoverPollEndpoint",
            "ListClusters",
            "ListServices",
            "PutAccountSetting",
            "PutAccountSettingDefault",
            "DeleteAccountSetting",
            "ListAccountSettings",
            "DescribeTaskDefinition",
            "DeregisterTaskDefinition",
            "ListTaskDefinitions",
            "ListTaskDefinitionFamilies",
            "ListDaemonTaskDefinitions",
            "ListGateways",
            "ListServicesByNamespace",
        }
    ),
    "elb": frozenset(name for name in service_api("elb").operation_names if name.startswith("Describe")),
    "elbv2": frozenset(name for name in service_api("elbv2").operation_names if name.startswith("Describe")),
    "iam": frozenset(
        {
            "ListUsers",
            "ListGroups",
            "ListRoles",
            "ListPolicies",
            "ListInstanceProfiles",
            "ListOpenIDConnectProviders",
            "CreateAccountAlias",
            "DeleteAccountAlias",
            "ListAccountAliases",
            "UpdateAccountPasswordPolicy",
            "GetAccountPasswordPolicy",
            "DeleteAccountPasswordPolicy",
            "GetAccountSummary",
            "GetAccountAuthorizationDetails",
            "GenerateCredentialReport",
            "GetCredentialReport",
            "ListVirtualMFADevices",
            "SimulateCustomPolicy",
            "GetContextKeysForCustomPolicy",
        }
    ),
    "secretsmanager": frozenset({"BatchGetSecretValue", "GetRandomPassword", "ListSecrets"}),
    "servicediscovery": frozenset(
        {
            "CreateHttpNamespace",
            "CreatePrivateDnsNamespace",
            "CreatePublicDnsNamespace",
            "DiscoverInstances",
            "DiscoverInstancesRevision",
            "GetOperation",
            "ListNamespaces",
            "ListOperations",
            "ListServices",
        }
    ),
    "ssm": frozenset(),
    "sts": frozenset(
        {"DecodeAuthorizationMessage", "GetAccessKeyInfo", "GetCallerIdentity", "GetSessionToken"}
    ),
}
"""Operations whose IAM action is about no ARN in particular. Another one belongs here, or says its ARNs."""

LAYOUT = {"manifest", "api", "control", "repo", "view", "plan", "ports", "errors", "model"}
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "adr").glob("*.md"))
KINDS = "feature|bugfix|doc|removal|misc"


def modules(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*.py")) if GENERATED not in path.parents]


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_a_module_fits_in_a_head() -> None:
    long = {
        path.relative_to(SOURCE).as_posix()
        for path in modules(SOURCE)
        if len(path.read_text().splitlines()) > MODULE_LINES_MAX
    }
    assert long <= LONG_MODULES.keys(), "split it, or say here why it is one"


def test_an_excuse_is_for_something_that_exists() -> None:
    assert all((SOURCE / name).exists() for name in LONG_MODULES)


def test_a_function_fits_on_a_screen() -> None:
    long = {
        f"{path.relative_to(SOURCE).as_posix()}:{node.name}"
        for path in modules(SOURCE)
        if path.parent.name != "versions"  # a migration is a list
        for node in functions(path)
        if (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    }
    assert long <= LONG_FUNCTIONS.keys(), "split it, or say here why it is one"


def test_a_service_has_the_layout_of_all_services() -> None:
    for manifest in MANIFESTS:
        folder = SOURCE / "services" / manifest.name
        inside = [path for path in folder.iterdir() if not path.name.startswith("__")]
        found = {path.stem for path in inside if path.is_file() or any(path.glob("*.py"))}  # else data
        assert found <= LAYOUT, manifest.name
        assert "manifest" in found


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: str(manifest.name))
def test_an_operation_says_which_permission_it_needs_and_on_what(manifest: Manifest) -> None:
    served = {name: manifest.operations.find(name) for name in sorted(manifest.operations.names())}
    assert served
    for name, operation in served.items():
        assert operation is not None
        prefix = manifest.operations.action_prefix
        assert re.fullmatch(rf"{prefix}:[A-Z][A-Za-z]+", operation.action), name
    vague = {name for name, one in served.items() if one is not None and one.resources is any_resource}
    assert vague == WITHOUT_RESOURCE[manifest.name]


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: str(page.stem))
def test_a_decision_has_its_context_and_consequences(page: Path) -> None:
    number = int(re.match(r"(\d{4})-[a-z0-9-]+\.md\Z", page.name)[1])  # type: ignore[index]
    text = page.read_text()
    assert text.startswith(f"# {number}. ")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [h for h in headings if h in ("Context", "Decision", "Consequences")] == [
        "Context",
        "Decision",
        "Consequences",
    ]
    assert not re.search(r"^## .+\n+(?=## |\Z)", text, re.MULTILINE), "a heading with nothing below it"


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_a_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        if path.startswith(("http://", "https://")):
            continue
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", place.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, target


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_a_module_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"`([\w./*-]+/[\w.*-]+\.py)`", page.read_text()))
    places = (ROOT, SOURCE, SOURCE / "services" / "ecs")
    lost = {name for name in named if not any(any(place.glob(name)) for place in places)}
    assert lost == set()


def commands_in(page: Path) -> list[str]:
    """`bin/homeport ...` in the blocks of shell that a page shows."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [found.strip() for block in blocks for found in re.findall(r"bin/homeport([^\n|)#\"]*)", block)]


@pytest.mark.parametrize("page", [page for page in PAGES if commands_in(page)], ids=short)
def test_a_command_that_is_shown_exists(page: Path) -> None:
    for words in commands_in(page):
        if words == "--version":
            continue
        assert words.split()[0] in COMMANDS, words
        try:
            build().parse_args(words, exit_on_error=False, print_error=False)
        except CycloptsError as error:
            pytest.fail(f"{words}: {error}")


def test_a_program_that_is_shown_exists() -> None:
    shown = {
        name for page in PAGES for name in re.findall(r"\b((?:bin|tools)/[a-z_]+(?:\.py)?)", page.read_text())
    }
    assert {"bin/homeport", "bin/test", "bin/check"} <= shown
    assert [name for name in sorted(shown) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("program", ["bin/test", "bin/check", "bin/bench", "bin/simulate"])
def test_a_program_tells_its_usage_without_setting_anything_up(program: str) -> None:
    done = subprocess.run([ROOT / program, "--help"], capture_output=True, text=True, check=True)
    assert program in done.stdout
    assert not re.search(r"^#", done.stdout, re.MULTILINE)
    assert done.stderr == ""


def test_a_change_note_has_a_number_and_a_kind() -> None:
    notes = [path.name for path in (ROOT / "changes").glob("*.md")]
    assert [name for name in notes if not re.fullmatch(rf"\d+\.([a-z-]+\.)?({KINDS})\.md", name)] == []


def test_a_test_is_a_sentence() -> None:
    names = [
        f"{short(path)}:{node.name}"
        for path in modules(ROOT / "tests")
        for node in functions(path)
        if node.name.startswith("test_") and node.name.count("_") < 3  # two words are a title
    ]
    assert names == []


def test_only_tests_with_real_processes_wait_on_a_real_clock() -> None:
    sleepers = [
        short(path)
        for path in modules(ROOT / "tests")
        if "pytest.mark.slow" not in path.read_text()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if (node.value.id, node.attr) == ("time", "sleep")
    ]
    assert set(sleepers) <= REAL_CLOCK.keys()


def test_a_todo_has_a_number() -> None:
    orphans = [
        f"{short(path)}: {line.strip()}"
        for folder in (SOURCE, ROOT / "tests", ROOT / "tools", ROOT / "bench")
        for path in modules(folder)
        if path != Path(__file__)
        for line in path.read_text().splitlines()
        if re.search(r"#.*\b(TODO|FIXME)\b(?!\(#\d+\))", line)
    ]
    assert orphans == []


def test_a_lock_pins_with_hashes_and_names_no_index() -> None:
    for lock in ROOT.glob("requirements*.txt"):
        lines = [line for line in lock.read_text().splitlines() if line and not line.lstrip().startswith("#")]
        assert all(
            re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+ |    --hash=sha256:", line) for line in lines
        ), lock


def test_nothing_knows_where_this_checkout_lies() -> None:
    if len(ROOT.parts) < 3:
        pytest.skip("a checkout in the root directory has no telling name")
    places = [ROOT / name for name in ("src", "tests", "tools", "bench", "bin", "docs", "changes", ".ci")]
    texts = [path for place in places for path in place.rglob("*") if path.suffix not in {".pyc", ".gz"}]
    knowing = [
        short(path)
        for path in [*texts, *ROOT.glob("*.*")]
        if path.is_file() and f"{ROOT}/".encode() in path.read_bytes()
    ]
    assert knowing == []
