"""Secrets Manager's modelled errors. Source: botocore secretsmanager 2017-10-17."""

from __future__ import annotations

from homeport.core.errors import AwsError


class ResourceNotFoundException(AwsError):
    """There is no such secret, or no such version."""

    code = "ResourceNotFoundException"


class ResourceExistsException(AwsError):
    """The name is taken, or the version has another value."""

    code = "ResourceExistsException"


class InvalidParameterException(AwsError):
    """A parameter of the request is wrong."""

    code = "InvalidParameterException"


class InvalidRequestException(AwsError):
    """The secret is not in a state for this."""

    code = "InvalidRequestException"


class InvalidNextTokenException(AwsError):
    """The token is not ours, or of another request."""

    code = "InvalidNextTokenException"


class LimitExceededException(AwsError):
    """A quota."""

    code = "LimitExceededException"


class DecryptionFailure(AwsError):
    """The value does not open."""

    code = "DecryptionFailure"


class MalformedPolicyDocumentException(AwsError):
    """The resource policy is none."""

    code = "MalformedPolicyDocumentException"


class PublicPolicyException(AwsError):
    """The resource policy lets everybody in."""

    code = "PublicPolicyException"
