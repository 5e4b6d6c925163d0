"""Cloud Map's modelled errors. Source: botocore servicediscovery 2017-03-14."""

from __future__ import annotations

from homeport.core.errors import AwsError


class InvalidInput(AwsError):
    """A value of the request is wrong."""

    code = "InvalidInput"


class NamespaceNotFound(AwsError):
    """There is no such namespace."""

    code = "NamespaceNotFound"
    status = 404


class NamespaceAlreadyExists(AwsError):
    """The namespace is there; `CreatorRequestId` and `NamespaceId` say which."""

    code = "NamespaceAlreadyExists"


class ServiceNotFound(AwsError):
    """There is no such service."""

    code = "ServiceNotFound"
    status = 404


class ServiceAlreadyExists(AwsError):
    """A service of that name is there; `CreatorRequestId`, `ServiceId` and `ServiceArn` say which."""

    code = "ServiceAlreadyExists"


class InstanceNotFound(AwsError):
    """There is no such instance."""

    code = "InstanceNotFound"
    status = 404


class OperationNotFound(AwsError):
    """There is no such operation."""

    code = "OperationNotFound"
    status = 404


class ResourceInUse(AwsError):
    """It still holds something."""

    code = "ResourceInUse"
    status = 409


class ResourceLimitExceeded(AwsError):
    """A quota."""

    code = "ResourceLimitExceeded"


class ResourceNotFoundException(AwsError):
    """There is nothing of that ARN to tag."""

    code = "ResourceNotFoundException"
    status = 404


class CustomHealthNotFound(AwsError):
    """Nobody reports the health of this service's instances."""

    code = "CustomHealthNotFound"
    status = 404


class TooManyTagsException(AwsError):
    """More than 50 tags; `ResourceName` says where."""

    code = "TooManyTagsException"


class ServiceAttributesLimitExceededException(AwsError):
    """More than 30 attributes of a service."""

    code = "ServiceAttributesLimitExceededException"
