"""Cloud Map's modelled errors. Source: botocore servicediscovery 2017-03-14."""

from __future__ import annotations

from homeport.core.errors import AwsError


class InvalidInput(AwsError):
    """A value of the request is wrong."""


class NamespaceNotFound(AwsError):
    """There is no such namespace."""

    status = 404


class NamespaceAlreadyExists(AwsError):
    """The namespace is there; `CreatorRequestId` and `NamespaceId` say which."""


class ServiceNotFound(AwsError):
    """There is no such service."""

    status = 404


class ServiceAlreadyExists(AwsError):
    """A service of that name is there; `CreatorRequestId`, `ServiceId` and `ServiceArn` say which."""


class InstanceNotFound(AwsError):
    """There is no such instance."""

    status = 404


class OperationNotFound(AwsError):
    """There is no such operation."""

    status = 404


class ResourceInUse(AwsError):
    """It still holds something."""

    status = 409


class ResourceLimitExceeded(AwsError):
    """A quota."""


class ResourceNotFoundException(AwsError):
    """There is nothing of that ARN to tag."""

    status = 404


class CustomHealthNotFound(AwsError):
    """Nobody reports the health of this service's instances."""

    status = 404


class TooManyTagsException(AwsError):
    """More than 50 tags; `ResourceName` says where."""


class ServiceAttributesLimitExceededException(AwsError):
    """More than 30 attributes of a service."""
