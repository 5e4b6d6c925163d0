"""Roles are taken on by whom they trust, and sessions are worth what their roles are.

Source: STS API Reference.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import rsa

from homeport.app.identity.issuers import Issuers
from homeport.core.ids import SystemIds
from homeport.services.iam.manifest import AccessKey, EntityRepo, KeyRepo, sealed
from homeport.services.iam.model import User
from homeport.store.tx import Tx
from homeport.store.vault import Vault
from tests.kit.server import ACCOUNT, Live, live_server

ISSUER = "https://issuer.example/pool"
ROLE = f"arn:aws:iam::{ACCOUNT}:role"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trust(principal: Any, action: str | list[str] = "sts:AssumeRole", **more: Any) -> str:
    return document({"Effect": "Allow", "Principal": principal, "Action": action, **more})


def keys(given: dict[str, Any]) -> dict[str, Any]:
    return {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given.get("SessionToken"),
    }


def refused(work: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        work()
    return str(caught.value.response["Error"]["Code"])


class World:
    """An account with a user who may assume roles."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.iam = live.client("iam")
        self.iam.create_user(UserName="ann", Tags=[{"Key": "team", "Value": "blue"}])
        self.iam.put_user_policy(
            UserName="ann",
            PolicyName="p",
            PolicyDocument=document(allow(["sts:AssumeRole", "sts:TagSession"])),
        )
        self.ann = keys(self.iam.create_access_key(UserName="ann")["AccessKey"])
        self.sts = live.client("sts", **self.ann)
        self.number = 0

    def role(self, *statements: dict[str, Any], trust_policy: str = "", **more: Any) -> str:
        """A fresh role's name."""
        self.number += 1
        name = f"role-{self.number}"
        trusted = trust_policy or trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/ann"})
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted, **more)
        if statements:
            self.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(*statements))
        return name

    def assume(self, name: str, sts: Any = None, **more: Any) -> dict[str, Any]:
        asked = {"RoleArn": f"{ROLE}/{name}", "RoleSessionName": "session", **more}
        return dict((sts or self.sts).assume_role(**asked))

    def client(self, service: str, name: str, **more: Any) -> Any:
        return self.live.client(service, **keys(self.assume(name, **more)["Credentials"]))


@pytest.fixture(scope="module")
def world(live: Live) -> World:
    return World(live)


def test_an_assumed_role_is_somebody_else_who_may_what_the_role_may(world: World) -> None:
    name = world.role(allow("ecs:ListClusters"))
    given = world.assume(name)
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/session"
    assert given["AssumedRoleUser"]["Arn"] == arn
    assert given["AssumedRoleUser"]["AssumedRoleId"].startswith("AROA")
    session = keys(given["Credentials"])
    who = world.live.client("sts", **session).get_caller_identity()
    assert (who["Arn"], who["UserId"]) == (arn, given["AssumedRoleUser"]["AssumedRoleId"])
    ecs = world.live.client("ecs", **session)
    ecs.list_clusters()
    with pytest.raises(ClientError) as caught:
        ecs.list_task_definitions()
    error = caught.value.response["Error"]
    assert error["Code"] == "AccessDeniedException"
    assert error["Message"] == (
        f"User: {arn} is not authorized to perform: ecs:ListTaskDefinitions on resource: * because no "
        "identity-based policy allows the ecs:ListTaskDefinitions action"
    )


@pytest.mark.parametrize(
    ("trusted", "lets_in"),
    [
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:user/ann"}, True),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, True),
        ({"AWS": ACCOUNT}, True),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:user/bob"}, False),
        ({"AWS": "111122223333"}, False),
        ({"Service": "ecs-tasks.amazonaws.com"}, False),
    ],
)
def test_a_role_lets_in_whom_its_trust_policy_names(world: World, trusted: Any, lets_in: bool) -> None:
    if "user/bob" in str(trusted):
        world.iam.create_user(UserName="bob")
    name = world.role(trust_policy=trust(trusted))
    if lets_in:
        world.assume(name)
    else:
        assert refused(lambda: world.assume(name)) == "AccessDenied"


def test_without_a_permission_only_a_role_that_names_the_user_itself_opens(world: World) -> None:
    world.iam.create_user(UserName="cleo")
    sts = world.live.client("sts", **keys(world.iam.create_access_key(UserName="cleo")["AccessKey"]))
    by_account = world.role(trust_policy=trust({"AWS": ACCOUNT}))
    by_name = world.role(trust_policy=trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/cleo"}))
    assert refused(lambda: world.assume(by_account, sts)) == "AccessDenied"
    world.assume(by_name, sts)


def test_a_role_that_is_not_there_is_denied_like_one_that_does_not_trust(world: World) -> None:
    assert refused(lambda: world.assume("no-such-role")) == "AccessDenied"
    assert refused(lambda: world.sts.assume_role(RoleArn="arn:aws:iam::x:role/y", RoleSessionName="ab")) == (
        "AccessDenied"
    )


def test_the_root_assumes_no_role(world: World) -> None:
    name = world.role(trust_policy=trust({"AWS": ACCOUNT}))
    assert refused(lambda: world.assume(name, world.live.client("sts"))) == "AccessDenied"


def test_an_external_id_must_be_the_one_that_the_role_wants(world: World) -> None:
    wants = {"StringEquals": {"sts:ExternalId": "secret-id"}}
    name = world.role(trust_policy=trust({"AWS": ACCOUNT}, Condition=wants))
    assert refused(lambda: world.assume(name)) == "AccessDenied"
    assert refused(lambda: world.assume(name, ExternalId="other")) == "AccessDenied"
    world.assume(name, ExternalId="secret-id")


def test_a_session_lasts_no_longer_than_its_role_allows_and_a_chained_one_an_hour(world: World) -> None:
    long = world.role(MaxSessionDuration=7200)
    assert refused(lambda: world.assume(world.role(), DurationSeconds=3601)) == "ValidationError"
    world.assume(long, DurationSeconds=7200)
    first = world.role(allow("sts:AssumeRole"))
    second = world.role(trust_policy=trust({"AWS": ACCOUNT}), MaxSessionDuration=7200)
    chained = world.client("sts", first)
    assert refused(lambda: world.assume(second, chained, DurationSeconds=3601)) == "ValidationError"
    world.assume(second, chained, DurationSeconds=3600)


def test_session_policies_only_take_away(world: World) -> None:
    name = world.role(allow(["ecs:ListClusters", "ecs:ListTaskDefinitions"]))
    less = world.client("ecs", name, Policy=document(allow(["ecs:ListClusters", "ecs:ListAccountSettings"])))
    less.list_clusters()
    assert refused(less.list_task_definitions) == "AccessDeniedException"
    assert refused(less.list_account_settings) == "AccessDeniedException"
    read = "arn:aws:iam::aws:policy/AmazonSSMReadOnlyAccess"
    assert (
        refused(world.client("ecs", name, PolicyArns=[{"arn": read}]).list_clusters)
        == "AccessDeniedException"
    )
    assert refused(lambda: world.assume(name, Policy="{}")) == "MalformedPolicyDocument"
    nowhere = [{"arn": "arn:aws:iam::aws:policy/None"}]
    assert refused(lambda: world.assume(name, PolicyArns=nowhere)) == "ValidationError"


def test_session_tags_speak_in_conditions_and_transitive_ones_go_on(world: World) -> None:
    blue = {"StringEquals": {"aws:PrincipalTag/color": "blue"}}
    both = {"AWS": ACCOUNT}
    first = world.role(
        allow("ecs:ListClusters", Condition=blue),
        allow(["sts:AssumeRole", "sts:TagSession"]),
        trust_policy=trust(both, ["sts:AssumeRole", "sts:TagSession"]),
    )
    tags = [{"Key": "color", "Value": "blue"}]
    given = world.assume(first, Tags=tags, TransitiveTagKeys=["color"])
    world.live.client("ecs", **keys(given["Credentials"])).list_clusters()
    assert refused(world.client("ecs", first).list_clusters) == "AccessDeniedException"
    tagging = trust(both, ["sts:AssumeRole", "sts:TagSession"])
    second = world.role(allow("ecs:ListClusters", Condition=blue), trust_policy=tagging)
    chained = world.live.client("sts", **keys(given["Credentials"]))
    world.live.client("ecs", **keys(world.assume(second, chained)["Credentials"])).list_clusters()
    red = [{"Key": "color", "Value": "red"}]
    assert refused(lambda: world.assume(second, chained, Tags=red)) == "ValidationError"
    untagged = world.role(trust_policy=trust(both))
    assert refused(lambda: world.assume(untagged, Tags=tags)) == "AccessDenied"


def test_a_change_of_the_role_counts_with_the_next_request(world: World) -> None:
    name = world.role(allow("ecs:ListClusters"))
    ecs = world.client("ecs", name)
    ecs.list_clusters()
    world.iam.put_role_policy(
        RoleName=name, PolicyName="p", PolicyDocument=document(allow("ecs:ListServices"))
    )
    assert refused(ecs.list_clusters) == "AccessDeniedException"


def test_the_session_of_a_deleted_role_proves_nobody_even_when_the_name_is_used_again(world: World) -> None:
    name = world.role()
    sts = world.client("sts", name)
    sts.get_caller_identity()
    world.iam.delete_role(RoleName=name)
    assert refused(sts.get_caller_identity) == "InvalidClientTokenId"
    world.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust({"AWS": ACCOUNT}))
    assert refused(sts.get_caller_identity) == "InvalidClientTokenId"


def test_sessions_issued_before_an_instant_can_be_denied_all(world: World) -> None:
    name = world.role(allow("ecs:ListClusters"))
    ecs = world.client("ecs", name)
    later = {"DateLessThan": {"aws:TokenIssueTime": "2999-01-01T00:00:00Z"}}
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": later}
    world.iam.put_role_policy(RoleName=name, PolicyName="revoked", PolicyDocument=document(deny))
    assert refused(ecs.list_clusters) == "AccessDeniedException"


def test_a_federated_user_may_what_both_its_issuer_and_its_policy_allow(world: World) -> None:
    world.iam.create_user(UserName="fed")
    allowed = [allow(["sts:GetFederationToken", "ecs:ListClusters", "ecs:ListServices"])]
    world.iam.put_user_policy(UserName="fed", PolicyName="p", PolicyDocument=document(*allowed))
    sts = world.live.client("sts", **keys(world.iam.create_access_key(UserName="fed")["AccessKey"]))
    given = sts.get_federation_token(
        Name="guest", Policy=document(allow(["ecs:ListClusters", "ecs:ListTasks"]))
    )
    session = keys(given["Credentials"])
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/guest"
    assert world.live.client("sts", **session).get_caller_identity()["Arn"] == arn
    ecs = world.live.client("ecs", **session)
    ecs.list_clusters()
    assert refused(ecs.list_tasks) == "AccessDeniedException"
    bare = world.live.client("ecs", **keys(sts.get_federation_token(Name="nobody")["Credentials"]))
    assert refused(bare.list_clusters) == "AccessDeniedException"


def test_a_denial_can_be_decoded_by_its_account(world: World) -> None:
    ecs = world.live.client("ecs", **world.ann)
    with pytest.raises(ClientError) as caught:
        ecs.list_clusters()
    encoded = caught.value.response["ResponseMetadata"]["HTTPHeaders"]["x-homeport-authorization-message"]
    told = json.loads(
        world.live.client("sts").decode_authorization_message(EncodedMessage=encoded)["DecodedMessage"]
    )
    assert (told["allowed"], told["explicitDeny"]) == (False, False)
    assert told["context"]["action"] == "ecs:ListClusters"
    assert told["context"]["principal"]["arn"] == f"arn:aws:iam::{ACCOUNT}:user/ann"
    sts = world.live.client("sts")
    assert refused(lambda: sts.decode_authorization_message(EncodedMessage=encoded[:-4] + "AAAA")) == (
        "InvalidAuthorizationMessageException"
    )


def test_the_account_of_a_key_is_told(world: World) -> None:
    sts = world.live.client("sts")
    assert sts.get_access_key_info(AccessKeyId=world.ann["aws_access_key_id"])["Account"] == ACCOUNT
    assert refused(lambda: sts.get_access_key_info(AccessKeyId="AKIAUNKNOWNUNKNOWNUN")) == "ValidationError"


def test_a_source_identity_needs_a_permission_of_its_own_on_both_sides_and_is_handed_on(world: World) -> None:
    """Source: IAM User Guide, "Permissions required to set source identity"."""
    both, me = ["sts:AssumeRole", "sts:SetSourceIdentity"], {"AWS": ACCOUNT}
    open_role = world.role(
        allow(both), allow("ecs:ListClusters", Condition={"StringEquals": {"aws:SourceIdentity": "ann"}}),
        trust_policy=trust(me, both),
    )  # fmt: skip
    shut = world.role(trust_policy=trust(me))
    assert refused(lambda: world.assume(open_role, SourceIdentity="ann")) == "AccessDenied"  # hers is missing
    world.iam.put_user_policy(UserName="ann", PolicyName="source", PolicyDocument=document(allow(both)))
    assert refused(lambda: world.assume(shut, SourceIdentity="ann")) == "AccessDenied"  # the role's is
    given = world.assume(open_role, SourceIdentity="ann")
    assert given["SourceIdentity"] == "ann"
    session = keys(given["Credentials"])
    world.live.client("ecs", **session).list_clusters()
    chained = world.live.client("sts", **session)
    assert refused(lambda: world.assume(shut, chained)) == "AccessDenied"
    assert world.assume(open_role, chained)["SourceIdentity"] == "ann"
    assert refused(lambda: world.assume(open_role, chained, SourceIdentity="bob")) == "AccessDenied"


def own_sessions(world: World) -> dict[str, dict[str, Any]]:
    """Sessions that are of no role, of somebody who may everything."""
    world.iam.create_user(UserName="whole")
    world.iam.put_user_policy(UserName="whole", PolicyName="p", PolicyDocument=document(allow("*")))
    key = keys(world.iam.create_access_key(UserName="whole")["AccessKey"])
    sts, root = world.live.client("sts", **key), world.live.client("sts")
    return {
        "user": keys(sts.get_session_token()["Credentials"]),
        "guest": keys(sts.get_federation_token(Name="guest", Policy=document(allow("*")))["Credentials"]),
        "root": keys(root.get_session_token()["Credentials"]),
    }


def test_sessions_of_no_role_may_neither_touch_iam_nor_beget_more_of_themselves(world: World) -> None:
    """Source: IAM User Guide, "Compare AWS STS credentials"."""
    name = world.role(trust_policy=trust({"AWS": ACCOUNT}))
    for who, session in own_sessions(world).items():
        world.live.client("ecs", **session).list_clusters()
        iam, sts = world.live.client("iam", **session), world.live.client("sts", **session)
        sts.get_caller_identity()
        assert refused(lambda iam=iam: iam.create_user(UserName="more")) == "InvalidClientTokenId", who
        assert refused(lambda iam=iam: iam.list_users()) == "InvalidClientTokenId", who
        assert refused(sts.get_session_token) == "AccessDenied", who
        assert refused(lambda sts=sts: sts.get_federation_token(Name="again")) == "AccessDenied", who
        assert refused(lambda sts=sts: sts.decode_authorization_message(EncodedMessage="x")) == (
            "InvalidClientTokenId"
        ), who
        if who == "user":
            world.assume(name, sts)
        else:
            assert refused(lambda sts=sts: world.assume(name, sts)) in (
                "AccessDenied",
                "InvalidClientTokenId",
            )


def test_multi_factor_authentication_is_false_for_sessions_and_absent_for_keys(world: World) -> None:
    """Source: IAM User Guide, `aws:MultiFactorAuthPresent`: long-term credentials do not have the key."""
    world.iam.create_user(UserName="factors")
    key = keys(world.iam.create_access_key(UserName="factors")["AccessKey"])
    cases = {
        "Null": ("true", True, False),
        "Bool": ("false", False, True),
        "BoolIfExists": ("false", True, True),
    }
    session = keys(world.live.client("sts", **key).get_session_token()["Credentials"])
    for operator, (value, by_key, by_session) in cases.items():
        condition = {operator: {"aws:MultiFactorAuthPresent": value}}
        policy = document(allow("ecs:ListClusters", Condition=condition))
        world.iam.put_user_policy(UserName="factors", PolicyName="p", PolicyDocument=policy)
        for credentials, lets_in in ((key, by_key), (session, by_session)):
            ecs = world.live.client("ecs", **credentials)
            if lets_in:
                ecs.list_clusters()
            else:
                assert refused(ecs.list_clusters) == "AccessDeniedException", operator


def test_a_role_opens_to_another_account_only_when_both_sides_say_so(world: World) -> None:
    """A user of another account, made behind the API's back."""
    other, store = "111122223333", world.live.plane.store
    vault = Vault(bytes(32), SystemIds())
    now = datetime.now(UTC)

    def make(tx: Tx) -> None:
        user = User(
            account_id=other, name="visitor", unique_id="AIDAVISITORVISITOR00", created_at=now,
        )  # fmt: skip
        EntityRepo(tx).add(user)
        key = AccessKey(
            access_key_id="AKIAVISITORVISITOR00", secret_access_key="s" * 40, account_id=other,
            user_name="visitor", created_at=now,
        )  # fmt: skip
        KeyRepo(tx).add(sealed(key, vault))
        root = AccessKey(
            access_key_id="AKIAOTHERROOTOTHER00", secret_access_key="r" * 40, account_id=other, created_at=now
        )
        KeyRepo(tx).add(sealed(root, vault))

    world.live.run(store.write(make))
    theirs = world.live.client(
        "iam", aws_access_key_id="AKIAOTHERROOTOTHER00", aws_secret_access_key="r" * 40
    )
    key = {"aws_access_key_id": "AKIAVISITORVISITOR00", "aws_secret_access_key": "s" * 40}
    sts = world.live.client("sts", **key)
    arn = f"arn:aws:iam::{other}:user/visitor"
    for trusted in ({"AWS": arn}, {"AWS": other}):
        open_role, shut = world.role(allow("ecs:ListClusters"), trust_policy=trust(trusted)), world.role()
        policy = document(
            allow("sts:AssumeRole", f"{ROLE}/{open_role}"), allow("sts:AssumeRole", f"{ROLE}/{shut}")
        )
        assert (
            refused(lambda role=open_role: world.assume(role, sts)) == "AccessDenied"
        )  # their side is missing
        theirs.put_user_policy(UserName="visitor", PolicyName="p", PolicyDocument=policy)
        assert refused(lambda role=shut: world.assume(role, sts)) == "AccessDenied"  # ours is
        given = world.assume(open_role, sts)
        ecs = world.live.client("ecs", **keys(given["Credentials"]))
        assert given["AssumedRoleUser"]["Arn"].split(":")[4] == ACCOUNT
        ecs.list_clusters()
        assert refused(ecs.list_services) == "AccessDeniedException"
        theirs.delete_user_policy(UserName="visitor", PolicyName="p")
        assert refused(lambda role=open_role: world.assume(role, sts)) == "AccessDenied"
        ecs.list_clusters()  # a session is the role's: who began it is no matter any more


# Web identities

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
WRONG_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_set() -> dict[str, Any]:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
    return {"keys": [{**public, "kid": "one", "alg": "RS256"}]}


def token(key: Any = KEY, kid: str = "one", **changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": "repo:mine", "aud": "client", "iat": now, "exp": now + 600, **changes}
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, key, "RS256", {"kid": kid})


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    path: Path = tmp_path_factory.mktemp("keys") / "jwks.json"
    path.write_text(json.dumps(key_set()))
    with live_server(issuers=Issuers({ISSUER: path})) as live:
        iam = live.client("iam")
        iam.create_open_id_connect_provider(Url=ISSUER, ClientIDList=["client"], ThumbprintList=["0" * 40])
        provider = {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/issuer.example/pool"}
        mine = {"StringEquals": {"issuer.example/pool:sub": "repo:mine", "issuer.example/pool:aud": "client"}}
        trusted = trust(provider, "sts:AssumeRoleWithWebIdentity", Condition=mine)
        iam.create_role(RoleName="web", AssumeRolePolicyDocument=trusted)
        iam.put_role_policy(
            RoleName="web", PolicyName="p", PolicyDocument=document(allow("ecs:ListClusters"))
        )
        yield live


def assume_web(live: Live, text: str, role: str = "web") -> dict[str, Any]:
    sts = live.client("sts", config=Config(signature_version=UNSIGNED, retries={"max_attempts": 0}))
    asked = {"RoleArn": f"{ROLE}/{role}", "RoleSessionName": "web", "WebIdentityToken": text}
    return dict(sts.assume_role_with_web_identity(**asked))


def test_a_web_identity_takes_on_the_role_that_trusts_it(outside: Live) -> None:
    given = assume_web(outside, token())
    assert given["SubjectFromWebIdentityToken"] == "repo:mine"
    ecs = outside.client("ecs", **keys(given["Credentials"]))
    ecs.list_clusters()
    assert refused(ecs.list_services) == "AccessDeniedException"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("not a token", "InvalidIdentityToken"),
        (token(key=WRONG_KEY), "InvalidIdentityToken"),
        (token(kid="two"), "InvalidIdentityToken"),
        (token(exp=1), "ExpiredTokenException"),
        (token(exp=None), "InvalidIdentityToken"),
        (token(nbf=4_000_000_000), "InvalidIdentityToken"),
        (token(aud="another"), "InvalidIdentityToken"),
        (token(sub="repo:theirs"), "AccessDenied"),
        (token(iss="https://other.example"), "IDPCommunicationError"),
        (
            jwt.encode({"iss": ISSUER, "sub": "repo:mine", "aud": "client"}, "x" * 32, "HS256"),
            "InvalidIdentityToken",
        ),
        (
            jwt.encode({"iss": ISSUER, "sub": "repo:mine", "aud": "client"}, None, "none"),
            "InvalidIdentityToken",
        ),
    ],
)
def test_a_token_that_does_not_prove_it_opens_nothing(outside: Live, text: str, code: str) -> None:
    assert refused(lambda: assume_web(outside, text)) == code


def test_a_web_identity_opens_only_roles_that_name_its_provider(outside: Live) -> None:
    outside.client("iam").create_role(RoleName="ours", AssumeRolePolicyDocument=trust({"AWS": ACCOUNT}))
    assert refused(lambda: assume_web(outside, token(), "ours")) == "AccessDenied"
    assert refused(lambda: assume_web(outside, token(), "none")) == "AccessDenied"
