"""What a definition refers to elsewhere: roles, secrets, environment files, registries.

Sources: Secret, EnvironmentFile, RepositoryCredentials (botocore ecs); developer
guide, "Pass sensitive data" and "Pass environment variables".
"""

from __future__ import annotations

import re
from typing import Any

from homeport.services.ecs.plan.task_definition.settings import Document, refuse

ENVIRONMENT_FILES_MOST = 10
_ROLE_NAME = r"[\w+=,.@/-]{1,512}"
_ROLE_ARN = re.compile(rf"arn:aws[a-z-]*:iam::\d{{12}}:role/{_ROLE_NAME}", re.ASCII)
_SHORT_ROLE = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws)/.+"
)

NO_ROLE_FOR_SECRETS = (
    "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
)


def role_arn(text: str, account_id: str) -> str:
    """A role's ARN, given that or the short name of one of the account's roles."""
    if _ROLE_ARN.fullmatch(text):
        return text
    if not _SHORT_ROLE.fullmatch(text):
        raise refuse("Role is not valid")
    return f"arn:aws:iam::{account_id}:role/{text}"


def ecr_image(image: str) -> dict[str, str] | None:
    """`account` and `region` of an image in ECR."""
    match = _ECR.fullmatch(image)
    return None if match is None else match.groupdict()


def secret_provider(value_from: str) -> str:
    """`asm` for Secrets Manager's ARNs, else `ssm`."""
    return "asm" if re.match(r"arn:aws[a-z-]*:secretsmanager:", value_from) else "ssm"


def check_secret_names(container: Document) -> None:
    """Secrets become environment variables: a name is used once."""
    names = {variable.get("name") for variable in container.get("environment", ())}
    for secret in container.get("secrets", ()):
        if secret["name"] in names:
            raise refuse(
                "The secret name must be unique and not shared with any new or existing environment "
                f"variables set on the container, such as '{secret['name']}'."
            )
        names.add(secret["name"])


def check_environment_files(container: Document) -> None:
    """At most ten `.env` objects in S3."""
    files = container.get("environmentFiles", ())
    if len(files) > ENVIRONMENT_FILES_MOST:
        raise refuse(
            f"Container '{container['name']}' has {len(files)} environment files; "
            f"{ENVIRONMENT_FILES_MOST} are allowed."
        )
    for file in files:
        value = file["value"]
        if file["type"] != "s3" or not re.fullmatch(r"arn:aws[a-z-]*:s3:::[^/]+/.+\.env", value):
            raise refuse(
                f"Invalid environment file '{value}' of container '{container['name']}': it must be the "
                "ARN of an S3 object that ends in .env."
            )


def check(document: Document) -> None:
    """Names, ARNs and the role that fetches them."""
    for container in document["containerDefinitions"]:
        options = container.get("logConfiguration", {}).get("secretOptions", ())
        secrets: tuple[Any, ...] = (*container.get("secrets", ()), *options)
        if any(not secret["name"] or not secret["valueFrom"] for secret in secrets):
            raise refuse(f"A secret of container '{container['name']}' needs a name and a valueFrom.")
        check_secret_names(container)
        check_environment_files(container)
        if secrets and not document.get("executionRoleArn"):
            raise refuse(NO_ROLE_FOR_SECRETS)
        if "repositoryCredentials" in container and not document.get("executionRoleArn"):
            raise refuse(
                "When you are specifying repositoryCredentials, you must also specify a value for "
                "'executionRoleArn'."
            )
        if len(container.get("credentialSpecs", ())) > 1:
            raise refuse(f"Container '{container['name']}' has more than one credentialSpecs entry.")
