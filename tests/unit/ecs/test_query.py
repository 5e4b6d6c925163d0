"""The cluster query language.

Source: ECS Developer Guide, "Create expressions to define container instances": subjects,
operators, formats and the examples. Rows marked `ours` are our choice where it is silent.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.placement import GROUPS, World, fleet_of, instance, worlds

from homeport.services.ecs.plan.placement_types import Demand
from homeport.services.ecs.plan.query import Facts, QuerySyntaxError, compile_query, facts_of

PROD = Facts(
    agent_connected=True,
    agent_version="1.14.5",
    ec2_instance_id="i-abcd1234",
    registered_at=datetime(2018, 6, 18, 22, 28, 28, 400_000, tzinfo=UTC),
    running_tasks_count=1,
    attributes={
        "ecs.instance-type": "g2.2xlarge",
        "ecs.availability-zone": "us-east-1a",
        "stack": "prod",
        "empty": None,
        "phrase": "two words",
        "size": "10",
        "or": "and",
        "a/b\\c": "x",
    },
    task_groups=frozenset({"service:production", "family:job"}),
)

TRUE = """
attribute:ecs.instance-type == g2.2xlarge
attribute:ecs.instance-type equals g2.2xlarge
attribute:ecs.availability-zone in [us-east-1a, us-east-1b]
attribute:ecs.availability-zone in [us-east-1a]
attribute:ecs.availability-zone in ['us-east-1a',"us-east-1b"]
attribute:ecs.availability-zone not_in [us-east-1b, us-east-1c]
attribute:ecs.availability-zone !in [us-east-1b]
attribute:ecs.instance-type =~ g2.* and attribute:ecs.availability-zone != us-east-1d
attribute:ecs.instance-type matches g2.*
attribute:ecs.instance-type =~ 'g(2|3)\\..*'
attribute:ecs.instance-type =~ g[1-3].*
attribute:ecs.instance-type !~ t2.*
attribute:ecs.instance-type not_matches g2
task:group == service:production
task:group equals family:job
task:group =~ service:.*
task:group in [database, family:job]
task:group not_in [database, web]
task:group exists
task:group != database
not(task:group == database)
not task:group == database
runningTasksCount == 1
runningTasksCount != 0
runningTasksCount < 10
runningTasksCount greater_than 0
runningTasksCount less_than_equal 1
agentVersion < 1.14.6
agentVersion < 1.100.0
agentVersion >= 1.14.5
agentVersion == 1.14.5
agentVersion > 1.14.5-dev
agentVersion != 1.9
registeredAt < 2018-06-19
registeredAt > 2018-06-18
registeredAt == 2018-06-18T22:28:28Z
registeredAt == 2018-06-18T22:28:28
registeredAt == 2018-06-18T22:28:28+00:00
registeredAt == 2018-06-19T00:28:28+02:00
registeredAt less_than 2018-06-18T22:28:29Z
ec2InstanceId in ['i-abcd1234', 'i-wxyx7890']
ec2InstanceId == i-abcd1234
ec2InstanceId =~ i-.*
ec2InstanceId != i-wxyx7890
agentConnected == true
agentConnected != false
agentConnected in [true, false]
agentConnected =~ t.*
attribute:stack exists
attribute:empty exists
attribute:missing !exists
attribute:missing not_exists
attribute:phrase == 'two words'
attribute:phrase == "two words"
attribute:or == and
attribute:or == and and attribute:or == and
attribute:a/b\\c == x
attribute:stack == 'prod'||attribute:missing exists
attribute:stack == prod &&attribute:empty exists
attribute:stack == prod or attribute:missing exists and attribute:missing exists
!(attribute:stack == test)
!attribute:missing exists
! ! (attribute:stack == prod)
(attribute:stack == prod)
((attribute:stack == prod) and (attribute:missing exists or attribute:empty exists))
  attribute:stack   ==\tprod
attribute:size < 9
attribute:size >= 10
attribute:stack > pro
attribute:stack==prod
not (attribute:missing == x)
""".strip("\n").splitlines()  # `size < 9`: attributes are compared as text

FALSE = """
attribute:ecs.instance-type == g2
attribute:ecs.instance-type != g2.2xlarge
attribute:ecs.instance-type =~ g2
attribute:ecs.instance-type =~ 2xlarge
attribute:ecs.instance-type !~ g2.*
attribute:ecs.availability-zone not_in [us-east-1a, us-east-1b]
attribute:stack == Prod
attribute:missing == prod
attribute:missing in [prod]
attribute:missing =~ .*
attribute:missing exists
attribute:missing != prod
attribute:missing not_in [prod]
attribute:missing !~ prod
attribute:missing >= a
attribute:stack !exists
task:group == production
task:group != family:job
task:group not_in [family:job, x]
task:group !~ service:.*
task:group not_exists
not(task:group == service:production)
runningTasksCount > 1
runningTasksCount not_equals 1
agentVersion < 1.9.0
agentVersion == 1.14
registeredAt < 2018-02-13
registeredAt >= 2018-06-18T22:28:29
agentConnected == false
agentConnected not_in [true]
ec2InstanceId !~ i-.*
attribute:stack == test and attribute:empty exists or attribute:missing exists
not attribute:stack == prod or attribute:missing exists
(attribute:stack == prod or attribute:stack == test) and attribute:missing exists
""".strip().splitlines()


@pytest.mark.parametrize("text", TRUE)
def test_expressions_that_hold_for_the_example(text: str) -> None:
    assert compile_query(text).matches(PROD)


@pytest.mark.parametrize("text", FALSE)
def test_does_not_hold(text: str) -> None:
    assert not compile_query(text).matches(PROD)


@pytest.mark.parametrize("text", [*TRUE, *FALSE])
def test_holds_for_rows_when_it_holds_for_one(text: str) -> None:
    view = instance(
        1,
        agent_version=PROD.agent_version,
        ec2_instance_id=PROD.ec2_instance_id,
        registered_at=PROD.registered_at,
        attributes=PROD.attributes,
    )
    other = instance(2, agent_connected=False, attributes={"missing": "x"})
    fleet = fleet_of(other, view)
    fleet.assign(1, 1, Demand(group="service:production"))
    fleet.assign(2, 1, Demand(group="family:job"))
    if "runningTasksCount" not in text:
        assert compile_query(text).mask(fleet)[1] == compile_query(text).matches(PROD)


NONSENSE = [
    ("", 0),
    ("   ", 3),
    ("attribute:stack", 15),
    ("attribute:stack ==", 18),
    ("attribute:stack == prod test", 24),
    ("attribute: == prod", 0),
    ("stack == prod", 0),
    ("Attribute:stack == prod", 0),
    ("attribute:stack = prod", 16),
    ("attribute:stack == prod AND attribute:x exists", 24),
    ("attribute:stack == prod and", 27),
    ("and attribute:stack == prod", 0),
    ("(attribute:stack == prod", 24),
    ("attribute:stack == prod)", 23),
    ("attribute:stack == (prod)", 19),
    ("()", 1),
    ("attribute:stack in prod", 19),
    ("attribute:stack in []", 20),
    ("attribute:stack in [prod", 24),
    ("attribute:stack in [prod,]", 25),
    ("attribute:stack == [prod]", 19),
    ("attribute:stack == 'prod", 19),
    ("attribute:stack exists prod", 23),
    ("attribute:stack =~ '(a'", 19),
    ("attribute:stack =~ *", 19),
    ("runningTasksCount == many", 21),
    ("runningTasksCount == 1.5", 21),
    ("runningTasksCount exists", 18),
    ("runningTasksCount in [1]", 18),
    ("runningTasksCount =~ 1", 18),
    ("agentVersion == new", 16),
    ("agentVersion =~ 1.*", 13),
    ("registeredAt < yesterday", 15),
    ("registeredAt < 2018-13-01", 15),
    ("registeredAt < 2018-06-18T22:28", 15),
    ("registeredAt exists", 13),
    ("agentConnected < true", 15),
    ("agentConnected exists", 15),
    ("ec2InstanceId >= i-1", 14),
    ("task:group > a", 11),
    ("task:family == x", 0),
    ("pendingTasksCount == 1", 0),
    ("attribute:stack == prod ; drop", 24),
    ("a" * 2001, 2000),
]


@pytest.mark.parametrize(("text", "position"), NONSENSE, ids=[text[:40] for text, _ in NONSENSE])
def test_an_error_says_where(text: str, position: int) -> None:
    with pytest.raises(QuerySyntaxError) as caught:
        compile_query(text)
    assert caught.value.position == position
    assert caught.value.message


def test_the_longest_expression_is_accepted() -> None:
    """Source: botocore ecs, PlacementConstraint.expression: 2,000 characters."""
    text = "attribute:stack == " + "x" * 1981
    assert len(text) == 2000
    assert not compile_query(text).matches(PROD)


@pytest.mark.parametrize(
    "text",
    ["!" * 1975 + "attribute:stack exists", "(" * 980 + "task:group exists" + ")" * 980],
    ids=["negations", "parentheses"],
)
def test_deep_nesting_is_only_long(text: str) -> None:
    assert compile_query(text).matches(PROD) == (text.count("!") % 2 == 0)


def test_deep_alternation_of_all_operators_evaluates() -> None:
    unit = "!(task:group exists and "
    depth = (2000 - 17) // (len(unit) + 1)
    assert isinstance(compile_query(unit * depth + "task:group exists" + ")" * depth).matches(PROD), bool)


def test_a_version_that_is_none_is_lacking() -> None:
    for version in ("", "unknown", "1.x"):
        facts = facts_of({"versionInfo": {"agentVersion": version}, "registeredAt": PROD.registered_at})
        assert not compile_query("agentVersion < 99").matches(facts)
        assert not compile_query("agentVersion >= 0").matches(facts)


VERSIONS = ["0.9", "1.0-alpha", "1.0-alpha.1", "1.0-alpha.beta", "1.0-beta.2", "1.0-beta.11", "1.0"]
VERSIONS += ["1.0.1", "1.9", "1.10", "1.88.0", "2"]


@pytest.mark.parametrize(("older", "newer"), list(pairwise(VERSIONS)))
def test_versions_are_in_the_order_of_semver(older: str, newer: str) -> None:
    """Source: semver.org, section 11."""
    facts = facts_of({"versionInfo": {"agentVersion": older}, "registeredAt": PROD.registered_at})
    assert compile_query(f"agentVersion < {newer}").matches(facts)
    assert not compile_query(f"agentVersion >= {newer}").matches(facts)


def test_a_wire_shaped_instance_has_facts() -> None:
    facts = facts_of(
        {
            "agentConnected": True,
            "versionInfo": {"agentVersion": "1.14.5"},
            "ec2InstanceId": "i-abcd1234",
            "registeredAt": PROD.registered_at,
            "runningTasksCount": 1,
            "attributes": [{"name": n, "value": v} if v else {"name": n} for n, v in PROD.attributes.items()],
        },
        PROD.task_groups,
    )
    assert facts == PROD


NAMES = st.sampled_from(("stack", "rack", "gpu", "ecs.availability-zone", "none"))
WORDS = st.sampled_from(("prod", "test", "r1", "us-east-1a", "x", "''"))
PATTERNS = st.sampled_from(("pro.*", ".*", "r[12]", "'(prod|test)'", "'us-.*[ab]'"))
TEXTUAL = st.one_of(
    st.builds("{} {}".format, st.sampled_from(("==", "!=")), WORDS),
    st.builds("{} {}".format, st.sampled_from(("=~", "!~")), PATTERNS),
    st.builds("{} [{}, {}]".format, st.sampled_from(("in", "!in", "not_in")), WORDS, WORDS),
)
ORDERED = st.sampled_from(("==", "!=", "<", "<=", ">", ">="))
EXISTENCE = st.sampled_from(("exists", "!exists"))
SIMPLE = st.one_of(
    st.builds("attribute:{} {}".format, NAMES, st.one_of(TEXTUAL, EXISTENCE)),
    st.builds("attribute:{} {} {}".format, NAMES, ORDERED, WORDS),
    st.builds("agentConnected {}".format, st.sampled_from(("== true", "!= true", "in [false]", "=~ f.*"))),
    st.builds("agentVersion {} {}".format, ORDERED, st.sampled_from(("1.9", "1.70.0", "1.80.0-rc1"))),
    st.builds("runningTasksCount {} {}".format, ORDERED, st.integers(-1, 4)),
    st.builds("registeredAt {} {}".format, ORDERED, st.sampled_from(("2030-01-02", "2030-01-03T00:00:00Z"))),
    st.builds("ec2InstanceId {}".format, st.sampled_from(("== i-0a", "!= i-0a", "=~ i-.*", "!~ .*b"))),
    st.builds("task:group {} {}".format, st.sampled_from(("==", "!=")), st.sampled_from(GROUPS)),
    st.builds("task:group {}".format, st.sampled_from(("=~ service.*", "!~ service.*", "exists", "!exists"))),
    st.builds("task:group {} [{}]".format, st.sampled_from(("in", "!in")), st.sampled_from(GROUPS)),
)
EXPRESSIONS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(("and", "&&", "or", "||")), inner),
        st.builds("{} {} {}".format, inner, st.sampled_from(("and", "or")), inner),
        st.builds("{}({})".format, st.sampled_from(("!", "not ")), inner),
    ),
    max_leaves=5,
)


@settings(max_examples=50, deadline=None)
@given(worlds(), st.lists(EXPRESSIONS, min_size=1, max_size=5))
def test_the_answer_for_all_rows_is_the_answer_for_each(world: World, texts: list[str]) -> None:
    for text in texts:
        query = compile_query(text)
        mask = query.mask(world.fleet)
        for number, machine in world.slow.machines.items():
            assert bool(mask[world.fleet.row(number)]) == query.matches(machine.facts()), text


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="attribute:x =!~<>()[],'\"ndorinexists&|" + "\n\t", max_size=60))
def test_any_text_compiles_or_says_where_it_is_wrong(text: str) -> None:
    position = 0
    try:
        compile_query(text)
    except QuerySyntaxError as error:
        position = error.position
    assert 0 <= position <= len(text)
