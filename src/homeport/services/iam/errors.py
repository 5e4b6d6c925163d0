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


class ValidationError(AwsError):
    """A parameter does not fit its constraints. Source: IAM API Reference, "Common Errors"."""

    code = "ValidationError"
