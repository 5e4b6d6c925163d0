"""ECS's modelled errors. Source: botocore ecs 2014-11-13, the shapes of the same names."""

from __future__ import annotations

from homeport.core.errors import AwsError


class ClientException(AwsError):
    """The caller asked for something that cannot be done."""


class InvalidParameterException(AwsError):
    """A parameter is wrong."""


class ServerException(AwsError):
    """Our fault."""

    status = 500
    fault = "Receiver"


class ClusterNotFoundException(AwsError):
    """No such cluster, or it was deleted."""


class ClusterContainsContainerInstancesException(AwsError):
    """A cluster with instances cannot be deleted."""


class ClusterContainsServicesException(AwsError):
    """A cluster with services cannot be deleted."""


class ClusterContainsTasksException(AwsError):
    """A cluster with tasks cannot be deleted."""


class ServiceDeploymentNotFoundException(AwsError):
    """No such service deployment."""


class ServiceNotFoundException(AwsError):
    """No such service."""


class ServiceNotActiveException(AwsError):
    """The service is being deleted, or was."""


class DaemonNotFoundException(AwsError):
    """No such daemon."""


class DaemonNotActiveException(AwsError):
    """The daemon is being deleted."""


class TaskSetNotFoundException(AwsError):
    """No such task set."""


class TargetNotFoundException(AwsError):
    """No such target of an attribute."""


class AttributeLimitExceededException(AwsError):
    """More than ten custom attributes on an instance."""


class ConflictException(AwsError):
    """A client token was used for something else; `resourceIds` are what it made."""


class ResourceNotFoundException(AwsError):
    """No such resource to tag."""


class ResourceInUseException(AwsError):
    """Something still uses it."""


class LimitExceededException(AwsError):
    """A quota."""


class GatewayNotFoundException(AwsError):
    """No such gateway."""


class NamespaceNotFoundException(AwsError):
    """No such namespace of Service Connect."""


class NoUpdateAvailableException(AwsError):
    """There is no newer agent."""


class UnsupportedFeatureException(AwsError):
    """Not available here."""


class PlatformUnknownException(AwsError):
    """No such platform version."""


class PlatformTaskDefinitionIncompatibilityException(AwsError):
    """Source: botocore ecs 2014-11-13, shape PlatformTaskDefinitionIncompatibilityException."""
