"""The instance metadata service, version 2 only: no answer without a token.

Who asks decides which instance answers: a container is told of the instance that it runs on, and of no other.
Source: EC2 user guide, "Use the Instance Metadata Service to access instance metadata", "Instance metadata
categories", "Instance identity documents".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.node.imds.instance import InstanceFacts, InstanceProfiles, ProfileCredentials
from homeport.node.imds.tokens import Tokens, ttl_of
from homeport.node.metadata.answer import Answer, Question
from homeport.node.metadata.callers import Callers, UnknowableCallerError

TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "x-aws-ec2-metadata-token"  # noqa: S105 - a header's name
TOKEN_PATH = "/latest/api/token"  # noqa: S105 - a path
_META, _DYNAMIC = "/latest/meta-data", "/latest/dynamic"
_ROLES = f"{_META}/iam/security-credentials"
_TEXT = "text/plain"
_TIME = "%Y-%m-%dT%H:%M:%SZ"

_REASONS = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Not Allowed"}


class ImdsEndpoint:
    """Answers for the instances of one process, by the ARNs of their container instances."""

    def __init__(self, callers: Callers, profiles: InstanceProfiles, clock: Clock, ids: Ids) -> None:
        self._callers = callers
        self._profiles = profiles
        self._clock = clock
        self._ids = ids
        self._tokens = Tokens(ids.token(32))
        self._instances: dict[str, InstanceFacts] = {}

    def add(self, instance_arn: str, facts: InstanceFacts) -> None:
        """Answer to the instance's containers."""
        self._instances[instance_arn] = facts

    def remove(self, instance_arn: str) -> None:
        """Answer them no more."""
        self._instances.pop(instance_arn, None)

    async def answer(self, question: Question) -> Answer:
        """Everything at 169.254.169.254."""
        facts = await self._instance(question)
        if facts is None:
            return _refusal(403)
        if question.path.rstrip("/") == TOKEN_PATH:
            return self._token(question, facts)
        if question.method not in {"GET", "HEAD"}:
            return _refusal(405)
        token = question.headers.get(TOKEN_HEADER, "")
        if not self._tokens.is_good(token, facts.instance_id, self._clock.now().timestamp()):
            return _refusal(401)
        found = await self._read(question.path, facts)
        return _refusal(404) if found is None else found

    async def _instance(self, question: Question) -> InstanceFacts | None:
        try:
            caller = await self._callers.of(question.remote, question.remote_port)
        except UnknowableCallerError:
            return None
        return None if caller is None else self._instances.get(caller.instance)

    def _token(self, question: Question, facts: InstanceFacts) -> Answer:
        if question.method != "PUT":
            return _refusal(405)
        if "x-forwarded-for" in question.headers:
            return _refusal(403)  # through a proxy: somebody else's request
        seconds = ttl_of(question.headers.get(TTL_HEADER))
        if seconds is None:
            return _refusal(400)
        until = self._clock.now().timestamp() + seconds
        token = self._tokens.make(facts.instance_id, until=until, nonce=self._ids.token(8))
        return Answer(body=token.encode(), content_type=_TEXT, headers={TTL_HEADER: str(seconds)})

    async def _read(self, path: str, facts: InstanceFacts) -> Answer | None:
        """`None`: there is nothing."""
        asked = path.rstrip("/")
        if asked.startswith(f"{_META}/iam"):
            return await self._iam(asked, facts)
        if asked == f"{_DYNAMIC}/instance-identity/document":
            return _json(_identity(facts))
        values = _values(facts)
        if value := values.get(asked):
            return _text(value)
        listed = _listing(asked, (*values, *_PLACES))
        return _text(listed) if listed else None

    async def _iam(self, asked: str, facts: InstanceFacts) -> Answer | None:
        profile = await self._profiles.credentials(facts.instance_id)
        if profile is None:
            return None
        match asked.removeprefix(f"{_META}/iam"):
            case "":
                return _text("info\nsecurity-credentials/")
            case "/info":
                return _json(_info(profile))
            case "/security-credentials":
                return _text(profile.role_name)
            case role if role == f"/security-credentials/{profile.role_name}":
                return _json(_credentials(profile))
        return None


_PLACES = (f"{_ROLES}/", f"{_DYNAMIC}/instance-identity/document")


def _values(facts: InstanceFacts) -> Mapping[str, str]:
    return {
        f"{_META}/instance-id": facts.instance_id,
        f"{_META}/instance-type": facts.instance_type,
        f"{_META}/local-ipv4": facts.local_ipv4,
        f"{_META}/placement/availability-zone": facts.availability_zone,
        f"{_META}/placement/region": facts.region,
        f"{_META}/services/domain": "amazonaws.com",
        f"{_META}/services/partition": "aws",
    }


def _listing(folder: str, paths: tuple[str, ...]) -> str:
    """What is below a path, folders with a slash at their end."""
    below = [path.removeprefix(f"{folder}/") for path in paths if path.startswith(f"{folder}/")]
    names = {rest.split("/")[0] + ("/" if "/" in rest else "") for rest in below if rest}
    return "\n".join(sorted(names))


def _info(profile: ProfileCredentials) -> dict[str, Any]:
    return {
        "Code": "Success",
        "LastUpdated": profile.updated_at.strftime(_TIME),
        "InstanceProfileArn": profile.profile_arn,
        "InstanceProfileId": profile.profile_id,
    }


def _credentials(profile: ProfileCredentials) -> dict[str, Any]:
    given = profile.credentials
    return {
        "Code": "Success",
        "LastUpdated": profile.updated_at.strftime(_TIME),
        "Type": "AWS-HMAC",
        "AccessKeyId": given.access_key_id,
        "SecretAccessKey": given.secret_access_key,
        "Token": given.session_token,
        "Expiration": given.expiration,
    }


def _identity(facts: InstanceFacts) -> dict[str, Any]:
    return {
        "accountId": facts.account_id,
        "architecture": facts.architecture,
        "availabilityZone": facts.availability_zone,
        "instanceId": facts.instance_id,
        "instanceType": facts.instance_type,
        "pendingTime": facts.started_at.strftime(_TIME),
        "privateIp": facts.local_ipv4,
        "region": facts.region,
        "version": "2017-09-30",
    }


def _json(value: Mapping[str, Any]) -> Answer:
    return Answer(body=json.dumps(value, indent=2).encode(), content_type=_TEXT)


def _text(value: str) -> Answer:
    return Answer(body=value.encode(), content_type=_TEXT)


def _refusal(status: int) -> Answer:
    return Answer(status=status, body=f"{status} {_REASONS[status]}\n".encode(), content_type=_TEXT)
