"""STS's modelled errors. Source: botocore sts 2011-06-15; codes as the error traits say."""

from __future__ import annotations

from homeport.core.errors import AwsError


class ValidationError(AwsError):
    """A parameter is wrong. Not modelled: AWS's query services share it."""


class AccessDenied(AwsError):
    """The caller may not. Not modelled: AWS's query services share it."""

    status = 403


class MalformedPolicyDocumentException(AwsError):
    """The session policy is none."""

    code = "MalformedPolicyDocument"


class PackedPolicyTooLargeException(AwsError):
    """Session policies and tags are too much together."""

    code = "PackedPolicyTooLarge"


class InvalidIdentityTokenException(AwsError):
    """The web identity's token proves nobody."""

    code = "InvalidIdentityToken"


class ExpiredTokenException(AwsError):
    """The web identity's token was good once."""


class IDPCommunicationErrorException(AwsError):
    """The issuer's keys are not known here."""

    code = "IDPCommunicationError"


class InvalidAuthorizationMessageException(AwsError):
    """The encoded message is not ours."""
