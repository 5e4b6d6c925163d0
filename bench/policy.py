"""Microseconds of one authorisation decision: 10 policies of 20 statements, compiled, asked again and again.

Run as `python -m bench.policy [--json]`. A figure is the least of the rounds' means, since the machine may be
busy with other things; requests differ in action and resource.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.kit import Figure, arguments, tell
from homeport.policy.compiled import AttachedPolicy, CompiledPolicy, Compiler, PolicySet
from homeport.policy.decision import Policies, decide
from homeport.policy.parse import parse_policy
from homeport.policy.request import Caller, CallerKind, Context, Request, caller_keys

POLICIES = 10
STATEMENTS = 20
ROUNDS = 150
DECISIONS = 200
ACCOUNT = "111122223333"
SERVICES = ("ecs", "ecr", "logs", "s3", "iam", "ssm", "ec2", "sqs", "sns", "secretsmanager")
CALLER = Caller(
    kind=CallerKind.ROLE_SESSION,
    arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/session",
    account_id=ACCOUNT,
    user_id="AROADEPLOYDEPLOYDEP21:session",
    issuer_arn=f"arn:aws:iam::{ACCOUNT}:role/deploy",
)
CONTEXT = {
    **caller_keys(CALLER),
    "aws:SourceIp": "203.0.113.7",
    "aws:RequestedRegion": "us-east-1",
    "aws:SecureTransport": True,
    "aws:CurrentTime": "2030-01-01T00:00:00Z",
    "aws:PrincipalTag/team": "web",
    "ecs:cluster": f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/web",
}


def everyday(policy: int, statement: int) -> dict[str, Any]:
    """Policies of many services; one in three statements has a condition, one in four a variable."""
    service = SERVICES[(policy * STATEMENTS + statement) % len(SERVICES)]
    variable = "${aws:PrincipalTag/team}" if statement % 4 == 0 else f"thing-{policy}"
    condition = {"StringEquals": {"aws:RequestedRegion": ["us-east-1", "eu-west-1"]}}
    return {
        "Effect": "Deny" if statement == 19 else "Allow",
        "Action": [f"{service}:Describe*", f"{service}:List*", f"{service}:Run{statement}"],
        "Resource": f"arn:aws:{service}:*:{ACCOUNT}:*/{variable}/*",
        **({"Condition": condition} if statement % 3 == 0 else {}),
    }


def crowded(policy: int, statement: int) -> dict[str, Any]:
    """Every statement is about the same actions, each about a resource of its own."""
    return {
        "Effect": "Allow",
        "Action": "ecs:*",
        "Resource": f"arn:aws:ecs:*:{ACCOUNT}:*/thing-{policy}-{statement}/*",
    }


def conditional(policy: int, statement: int) -> dict[str, Any]:
    """Every statement is about everything, under a condition: the worst that there is."""
    return {
        "Effect": "Allow",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringLike": {"ecs:cluster": f"*:cluster/{policy}-{statement}-*"}},
    }


def text_of(statement: Callable[[int, int], dict[str, Any]], policy: int) -> str:
    statements = [statement(policy, number) for number in range(STATEMENTS)]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def requests() -> list[tuple[str, str]]:
    actions = ("ecs:DescribeTasks", "ecs:ListTasks", "ecs:RunTask", "logs:PutLogEvents", "iam:PassRole")
    return [
        (action, f"arn:aws:{action.split(':')[0]}:us-east-1:{ACCOUNT}:task/thing-{number}/1")
        for action in actions
        for number in range(10)
    ]


def decision_round(statement: Callable[[int, int], dict[str, Any]], *, built: bool) -> Callable[[], float]:
    compiler = Compiler()
    attached = PolicySet(
        AttachedPolicy(f"policy-{number}", compiler.compile(text_of(statement, number)))
        for number in range(POLICIES)
    )
    policies = Policies(identity=attached)
    asked = requests()
    ready = [request_of(action, resource) for action, resource in asked]

    def once() -> float:
        start = time.perf_counter()
        for number in range(DECISIONS):
            if built:
                decide(ready[number % len(ready)], policies)
            else:
                decide(request_of(*asked[number % len(asked)]), policies)
        return (time.perf_counter() - start) / DECISIONS * 1e6

    return once


def request_of(action: str, resource: str) -> Request:
    return Request(caller=CALLER, action=action, resource=resource, context=Context(CONTEXT))


def compile_round() -> Callable[[], float]:
    texts = [text_of(everyday, number) for number in range(POLICIES)]

    def once() -> float:
        start = time.perf_counter()
        for text in texts:
            CompiledPolicy(parse_policy(text))
        return (time.perf_counter() - start) / POLICIES * 1e6

    return once


def best(once: Callable[[], float], rounds: int = ROUNDS) -> float:
    return min(once() for _ in range(rounds))


def measure() -> list[Figure]:
    rows = [
        ("a decision, policies of many services", decision_round(everyday, built=True), "< 20"),
        ("the same with building the request", decision_round(everyday, built=False), ""),
        ("a decision, all statements about one service", decision_round(crowded, built=True), "< 20"),
        ("a decision, 200 conditions to look at", decision_round(conditional, built=True), ""),
        ("parsing and compiling one policy", compile_round(), ""),
    ]
    return [Figure(name=name, ours=best(once), unit="us", target=target) for name, once, target in rows]


def main() -> int:
    options = arguments("Microseconds of one authorisation decision.")
    tell(measure(), as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
