"""ECS's modelled errors. Source: botocore ecs 2014-11-13, the shapes of the same names."""

from __future__ import annotations

from homeport.core.errors import AwsError


class ClientException(AwsError):
    """The caller asked for something that cannot be done."""

    code = "ClientException"


class InvalidParameterException(AwsError):
    """A parameter is wrong."""

    code = "InvalidParameterException"


class ServerException(AwsError):
    """Our fault."""

    code = "ServerException"
    status = 500
    fault = "Receiver"


class AccessDeniedException(AwsError):
    """The caller may not."""

    code = "AccessDeniedException"


class ClusterNotFoundException(AwsError):
    """No such cluster, or it was deleted."""

    code = "ClusterNotFoundException"


class ClusterContainsContainerInstancesException(AwsError):
    """A cluster with instances cannot be deleted."""

    code = "ClusterContainsContainerInstancesException"


class ClusterContainsServicesException(AwsError):
    """A cluster with services cannot be deleted."""

    code = "ClusterContainsServicesException"


class ClusterContainsTasksException(AwsError):
    """A cluster with tasks cannot be deleted."""

    code = "ClusterContainsTasksException"


class ServiceDeploymentNotFoundException(AwsError):
    """No such service deployment."""

    code = "ServiceDeploymentNotFoundException"


class ServiceNotFoundException(AwsError):
    """No such service."""

    code = "ServiceNotFoundException"


class ServiceNotActiveException(AwsError):
    """The service is being deleted, or was."""

    code = "ServiceNotActiveException"


class DaemonNotFoundException(AwsError):
    """No such daemon."""

    code = "DaemonNotFoundException"


class DaemonNotActiveException(AwsError):
    """The daemon is being deleted."""

    code = "DaemonNotActiveException"


class TaskSetNotFoundException(AwsError):
    """No such task set."""

    code = "TaskSetNotFoundException"


class TargetNotFoundException(AwsError):
    """No such target of an attribute."""

    code = "TargetNotFoundException"


class AttributeLimitExceededException(AwsError):
    """More than ten custom attributes on an instance."""

    code = "AttributeLimitExceededException"


class ConflictException(AwsError):
    """A client token was used for something else; `resourceIds` are what it made."""

    code = "ConflictException"


class ResourceNotFoundException(AwsError):
    """No such resource to tag."""

    code = "ResourceNotFoundException"


class ResourceInUseException(AwsError):
    """Something still uses it."""

    code = "ResourceInUseException"


class LimitExceededException(AwsError):
    """A quota."""

    code = "LimitExceededException"


class GatewayNotFoundException(AwsError):
    """No such gateway."""

    code = "GatewayNotFoundException"


class NamespaceNotFoundException(AwsError):
    """No such namespace of Service Connect."""

    code = "NamespaceNotFoundException"


class NoUpdateAvailableException(AwsError):
    """There is no newer agent."""

    code = "NoUpdateAvailableException"


class UnsupportedFeatureException(AwsError):
    """Not available here."""

    code = "UnsupportedFeatureException"


class PlatformUnknownException(AwsError):
    """No such platform version."""

    code = "PlatformUnknownException"


class PlatformTaskDefinitionIncompatibilityException(AwsError):
    """Source: botocore ecs 2014-11-13, shape PlatformTaskDefinitionIncompatibilityException."""

    code = "PlatformTaskDefinitionIncompatibilityException"
