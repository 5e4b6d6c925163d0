"""Secrets Manager's modelled errors. Source: botocore secretsmanager 2017-10-17."""

from __future__ import annotations

from homeport.core.errors import AwsError


class ResourceNotFoundException(AwsError):
    """There is no such secret, or no such version."""


class ResourceExistsException(AwsError):
    """The name is taken, or the version has another value."""


class InvalidParameterException(AwsError):
    """A parameter of the request is wrong."""


class InvalidRequestException(AwsError):
    """The secret is not in a state for this."""


class InvalidNextTokenException(AwsError):
    """The token is not ours, or of another request."""


class LimitExceededException(AwsError):
    """A quota."""


class DecryptionFailure(AwsError):
    """The value does not open."""


class MalformedPolicyDocumentException(AwsError):
    """The resource policy is none."""


class PublicPolicyException(AwsError):
    """The resource policy lets everybody in."""
