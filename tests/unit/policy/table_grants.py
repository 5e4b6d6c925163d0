"""What a resource's own policy grants within its account, and to whom.

Sources: IAM User Guide, evaluation logic within an account (implicit denies beside resource-based policies);
elements: Principal, NotPrincipal.
"""

from __future__ import annotations

from tests.kit.policy_cases import ACCOUNT, FEDERATED, ROOT, SESSION, USER
from tests.kit.policy_layers import (
    ALLOW,
    DENY,
    NOTHING,
    ROLE_ARN,
    ROOT_ARN,
    SESSION_ARN,
    USER_ARN,
    aws,
    case,
    not_to,
    to,
)

RESOURCE_SAME_ACCOUNT = (
    case(
        "to the account's number, with which a federated user's id begins",
        FEDERATED,
        "implicitDeny identity",
        resource=[to(aws(ACCOUNT))],
        session=[ALLOW],
    ),
    case("to the user", USER, "allowed", resource=[to(aws(USER_ARN))]),
    case("to the user by id", USER, "allowed", resource=[to(aws(USER.user_id))]),
    case("to another user", USER, "implicitDeny identity", resource=[to(aws(f"{ROOT_ARN[:-4]}user/bob"))]),
    case("to the user, past a boundary", USER, "allowed", resource=[to(aws(USER_ARN))], boundary=[NOTHING]),
    case(
        "to the user, whose boundary denies",
        USER,
        "explicitDeny boundary",
        resource=[to(aws(USER_ARN))],
        boundary=[DENY],
    ),
    case(
        "to the user, whom identity denies",
        USER,
        "explicitDeny identity",
        resource=[to(aws(USER_ARN))],
        identity=[DENY],
    ),
    case("to everyone", USER, "allowed", resource=[to("*")]),
    case("to everyone as AWS", USER, "allowed", resource=[to(aws("*"))]),
    case(
        "to everyone, past a session policy",
        SESSION,
        "allowed",
        resource=[to("*")],
        boundary=[NOTHING],
        session=[NOTHING],
    ),
    case("to the account alone", USER, "implicitDeny identity", resource=[to(aws(ROOT_ARN))]),
    case("to the account, which allows", USER, "allowed", resource=[to(aws(ROOT_ARN))], identity=[ALLOW]),
    case("to the account's number", USER, "implicitDeny identity", resource=[to(aws(ACCOUNT))]),
    case("to the role", SESSION, "allowed", resource=[to(aws(ROLE_ARN))]),
    case("to the role by id", SESSION, "allowed", resource=[to(aws("AROADEPLOYDEPLOYDEP21"))]),
    case(
        "to the role, within a boundary",
        SESSION,
        "implicitDeny boundary",
        resource=[to(aws(ROLE_ARN))],
        boundary=[NOTHING],
    ),
    case(
        "to the role, within a session policy",
        SESSION,
        "implicitDeny session",
        resource=[to(aws(ROLE_ARN))],
        session=[NOTHING],
    ),
    case(
        "to the session, past both",
        SESSION,
        "allowed",
        resource=[to(aws(SESSION_ARN))],
        boundary=[NOTHING],
        session=[NOTHING],
    ),
    case(
        "to another session of the role",
        SESSION,
        "implicitDeny identity",
        resource=[to(aws(f"{SESSION_ARN}2"))],
    ),
    case(
        "to role and session, past both",
        SESSION,
        "allowed",
        resource=[to(aws(ROLE_ARN)), to(aws(SESSION_ARN))],
        boundary=[NOTHING],
    ),
    case("to the federated user", FEDERATED, "allowed", resource=[to(aws(FEDERATED.arn))]),
    case(
        "to the user behind the federated user",
        FEDERATED,
        "implicitDeny session",
        resource=[to(aws(USER_ARN))],
    ),
    case(
        "to the user behind it, and the session allows",
        FEDERATED,
        "allowed",
        resource=[to(aws(USER_ARN))],
        session=[ALLOW],
    ),
    case(
        "a resource policy denies",
        USER,
        "explicitDeny resource",
        identity=[ALLOW],
        resource=[to("*", "Deny")],
    ),
    case("the resource denies root", ROOT, "explicitDeny resource", resource=[to("*", "Deny")]),
    case(
        "a resource policy denies another",
        USER,
        "allowed",
        identity=[ALLOW],
        resource=[to(aws(ROLE_ARN), "Deny")],
    ),
    case(
        "a deny to the account denies its users",
        USER,
        "explicitDeny resource",
        identity=[ALLOW],
        resource=[to(aws(ROOT_ARN), "Deny")],
    ),
    case(
        "a deny to the role denies its sessions",
        SESSION,
        "explicitDeny resource",
        identity=[ALLOW],
        resource=[to(aws(ROLE_ARN), "Deny")],
    ),
)

NOT_PRINCIPAL = (
    case("all but this user", USER, "allowed", identity=[ALLOW], resource=[not_to(USER_ARN, ROOT_ARN)]),
    case("all but another", USER, "explicitDeny resource", identity=[ALLOW], resource=[not_to(ROLE_ARN)]),
    case(
        "sparing the account spares no user in it",
        USER,
        "explicitDeny resource",
        identity=[ALLOW],
        resource=[not_to(ROOT_ARN)],
    ),
    case("sparing the account spares its root", ROOT, "allowed", resource=[not_to(ROOT_ARN)]),
    case(
        "sparing the role spares no session of it",
        SESSION,
        "explicitDeny resource",
        identity=[ALLOW],
        resource=[not_to(ROLE_ARN, ROOT_ARN)],
    ),
    case(
        "sparing the session",
        SESSION,
        "allowed",
        identity=[ALLOW],
        resource=[not_to(SESSION_ARN, ROLE_ARN, ROOT_ARN)],
    ),
    case("allowing all but another", USER, "allowed", resource=[not_to(ROLE_ARN, effect="Allow")]),
    case("allowing all but this", USER, "implicitDeny identity", resource=[not_to(USER_ARN, effect="Allow")]),
)

TABLE = (*RESOURCE_SAME_ACCOUNT, *NOT_PRINCIPAL)
