"""IAM's modelled errors. Source: botocore iam 2010-05-08; codes as the error traits say."""

from __future__ import annotations

from homeport.core.errors import AwsError


class EntityAlreadyExistsException(AwsError):
    """The name is taken."""

    code = "EntityAlreadyExists"
    status = 409


class NoSuchEntityException(AwsError):
    """No such user, key or policy."""

    code = "NoSuchEntity"
    status = 404


class LimitExceededException(AwsError):
    """A quota."""

    code = "LimitExceeded"
    status = 409


class DeleteConflictException(AwsError):
    """Something still belongs to it."""

    code = "DeleteConflict"
    status = 409


class InvalidInputException(AwsError):
    """A parameter is wrong."""

    code = "InvalidInput"
    status = 400


class MalformedPolicyDocumentException(AwsError):
    """A text is no policy, or not one for this place."""

    code = "MalformedPolicyDocument"
    status = 400


class PolicyNotAttachableException(AwsError):
    """Only the service that a policy was made for may use it."""

    code = "PolicyNotAttachable"
    status = 400


class UnmodifiableEntityException(AwsError):
    """A service's own role: only the service may change it."""

    code = "UnmodifiableEntity"
    status = 400


class CredentialReportNotPresentException(AwsError):
    """No report was generated yet."""

    code = "ReportNotPresent"
    status = 410


class CredentialReportExpiredException(AwsError):
    """The last report is older than four hours."""

    code = "ReportExpired"
    status = 410


class ValidationError(AwsError):
    """A parameter does not fit its constraints. Source: IAM API Reference, "Common Errors"."""


class AccessDenied(AwsError):
    """What nobody may do. Source: IAM API Reference, "Common Errors"."""

    status = 403
