"""Who is allowed when several kinds of policies speak: about, caller, verdict and layer, policies.

Sources: IAM User Guide, evaluation logic (within an account, cross-account), permissions boundaries,
session policies.
"""

from __future__ import annotations

from tests.kit.policy_cases import ACCOUNT, FEDERATED, NOBODY, OTHER, ROOT, SERVICE, SESSION, USER, WEB
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
    to,
    trust,
)

IDENTITY = (
    case("no policy at all", USER, "implicitDeny identity"),
    case("an identity policy allows", USER, "allowed", identity=[ALLOW]),
    case("an identity policy about something else", USER, "implicitDeny identity", identity=[NOTHING]),
    case("one of several allows", USER, "allowed", identity=[NOTHING, ALLOW]),
    case("a deny beats an allow", USER, "explicitDeny identity", identity=[ALLOW, DENY]),
    case("a deny alone", USER, "explicitDeny identity", identity=[DENY]),
    case("a role session with its role's policy", SESSION, "allowed", identity=[ALLOW]),
    case("a role session without policies", SESSION, "implicitDeny identity"),
    case("root needs no policy", ROOT, "allowed"),
    case("no identity policy binds root", ROOT, "allowed", identity=[DENY]),
    case("a service has no identity policies", SERVICE, "implicitDeny resource", identity=[ALLOW]),
    case("nobody has none either", NOBODY, "implicitDeny resource", identity=[ALLOW]),
    case("a federated user without a session policy", FEDERATED, "implicitDeny session", identity=[ALLOW]),
    case("a federated user with one", FEDERATED, "allowed", identity=[ALLOW], session=[ALLOW]),
    case("a federated user without the user's policies", FEDERATED, "implicitDeny identity", session=[ALLOW]),
)

BOUNDARIES = (
    case("boundary and identity allow", USER, "allowed", identity=[ALLOW], boundary=[ALLOW]),
    case("only identity allows", USER, "implicitDeny boundary", identity=[ALLOW], boundary=[NOTHING]),
    case("a boundary grants nothing", USER, "implicitDeny identity", boundary=[ALLOW]),
    case("a boundary denies", USER, "explicitDeny boundary", identity=[ALLOW], boundary=[ALLOW, DENY]),
    case("no boundary binds root", ROOT, "allowed", boundary=[DENY]),
    case("neither allows", USER, "implicitDeny identity", identity=[NOTHING], boundary=[NOTHING]),
    case(
        "a role's boundary and session policy both allow",
        SESSION,
        "allowed",
        identity=[ALLOW],
        boundary=[ALLOW],
        session=[ALLOW],
    ),
    case(
        "the boundary fails before the session",
        SESSION,
        "implicitDeny boundary",
        identity=[ALLOW],
        boundary=[NOTHING],
        session=[NOTHING],
    ),
)

SESSIONS = (
    case("session and role allow", SESSION, "allowed", identity=[ALLOW], session=[ALLOW]),
    case("one of several session policies", SESSION, "allowed", identity=[ALLOW], session=[NOTHING, ALLOW]),
    case("only the role allows", SESSION, "implicitDeny session", identity=[ALLOW], session=[NOTHING]),
    case("an empty list of session policies", SESSION, "implicitDeny session", identity=[ALLOW], session=[]),
    case("a session policy grants nothing", SESSION, "implicitDeny identity", session=[ALLOW]),
    case("a session policy denies", SESSION, "explicitDeny session", identity=[ALLOW], session=[DENY]),
)

CROSS_ACCOUNT = (
    case("both sides allow", USER, "allowed", owner=OTHER, identity=[ALLOW], resource=[to(aws(USER_ARN))]),
    case("only the identity", USER, "implicitDeny resource", owner=OTHER, identity=[ALLOW]),
    case("only the resource", USER, "implicitDeny identity", owner=OTHER, resource=[to(aws(USER_ARN))]),
    case("neither side", USER, "implicitDeny identity", owner=OTHER),
    case("to the account", USER, "allowed", owner=OTHER, identity=[ALLOW], resource=[to(aws(ACCOUNT))]),
    case("to everyone", USER, "allowed", owner=OTHER, identity=[ALLOW], resource=[to("*")]),
    case("to everyone, identity silent", USER, "implicitDeny identity", owner=OTHER, resource=[to("*")]),
    case(
        "to the owner's own account only",
        USER,
        "implicitDeny resource",
        owner=OTHER,
        identity=[ALLOW],
        resource=[to(aws(OTHER))],
    ),
    case(
        "a session named, its role silent",
        SESSION,
        "implicitDeny identity",
        owner=OTHER,
        resource=[to(aws(SESSION_ARN))],
    ),
    case(
        "a role named, its identity allows",
        SESSION,
        "allowed",
        owner=OTHER,
        identity=[ALLOW],
        resource=[to(aws(ROLE_ARN))],
    ),
    case(
        "a boundary counts even for a user named",
        USER,
        "implicitDeny boundary",
        owner=OTHER,
        identity=[ALLOW],
        boundary=[NOTHING],
        resource=[to(aws(USER_ARN))],
    ),
    case(
        "a session policy counts even for a session named",
        SESSION,
        "implicitDeny session",
        owner=OTHER,
        identity=[ALLOW],
        session=[NOTHING],
        resource=[to(aws(SESSION_ARN))],
    ),
    case(
        "a deny on either side",
        USER,
        "explicitDeny resource",
        owner=OTHER,
        identity=[ALLOW],
        resource=[to("*", "Deny")],
    ),
    case("root of another account", ROOT, "implicitDeny resource", owner=OTHER),
    case("root of an account that is named", ROOT, "allowed", owner=OTHER, resource=[to(aws(ROOT_ARN))]),
)

OUTSIDE = (
    case("a service that is named", SERVICE, "allowed", owner=OTHER, resource=[to({"Service": SERVICE.arn})]),
    case(
        "another service",
        SERVICE,
        "implicitDeny resource",
        owner=OTHER,
        resource=[to({"Service": "ecs.amazonaws.com"})],
    ),
    case("a service among everyone", SERVICE, "allowed", resource=[to("*")]),
    case("a service is no account", SERVICE, "implicitDeny resource", resource=[to(aws(ACCOUNT))]),
    case(
        "a service that is denied",
        SERVICE,
        "explicitDeny resource",
        resource=[to("*"), to({"Service": SERVICE.arn}, "Deny")],
    ),
    case("nobody among everyone", NOBODY, "allowed", resource=[to("*")]),
    case("nobody where an account is named", NOBODY, "implicitDeny resource", resource=[to(aws(ACCOUNT))]),
    case("a user's service name", USER, "implicitDeny identity", resource=[to({"Service": USER_ARN})]),
)

TRUST = (
    case("trust in the user is enough", USER, "allowed", is_trust=True, resource=[trust(aws(USER_ARN))]),
    case("identity alone is not", USER, "implicitDeny trust", is_trust=True, identity=[ALLOW]),
    case(
        "trust in the account needs identity",
        USER,
        "implicitDeny identity",
        is_trust=True,
        resource=[trust(aws(ROOT_ARN))],
    ),
    case(
        "trust in the account with identity",
        USER,
        "allowed",
        is_trust=True,
        identity=[ALLOW],
        resource=[trust(aws(ROOT_ARN))],
    ),
    case(
        "trust in a role",
        SESSION,
        "allowed",
        is_trust=True,
        resource=[trust(aws(ROLE_ARN))],
    ),
    case(
        "trust in a service",
        SERVICE,
        "allowed",
        is_trust=True,
        owner=OTHER,
        resource=[trust({"Service": SERVICE.arn})],
    ),
    case(
        "trust in another service",
        SERVICE,
        "implicitDeny trust",
        is_trust=True,
        resource=[trust({"Service": "ec2.amazonaws.com"})],
    ),
    case("trust in a web identity", WEB, "allowed", is_trust=True, resource=[trust({"Federated": WEB.arn})]),
    case("trust in another", WEB, "implicitDeny trust", is_trust=True, resource=[trust({"Federated": "x"})]),
    case("trust in everyone", WEB, "allowed", is_trust=True, resource=[trust("*")]),
    case("root without trust", ROOT, "implicitDeny trust", is_trust=True),
    case(
        "trust across accounts needs both",
        SESSION,
        "implicitDeny identity",
        is_trust=True,
        owner=OTHER,
        resource=[trust(aws(ROLE_ARN))],
    ),
    case(
        "trust across accounts with both",
        SESSION,
        "allowed",
        is_trust=True,
        owner=OTHER,
        identity=[ALLOW],
        resource=[trust(aws(ROLE_ARN))],
    ),
    case(
        "a key's policy must allow", USER, "implicitDeny resource", identity=[ALLOW], resource_must_allow=True
    ),
    case(
        "a key hands on to the account",
        USER,
        "allowed",
        identity=[ALLOW],
        resource_must_allow=True,
        resource=[to(aws(ROOT_ARN))],
    ),
)

TABLE = (
    *IDENTITY,
    *BOUNDARIES,
    *SESSIONS,
    *CROSS_ACCOUNT,
    *OUTSIDE,
    *TRUST,
)
