"""Elastic Load Balancing's modelled errors. Source: botocore elbv2 2015-12-01."""

from __future__ import annotations

from homeport.core.errors import AwsError


class ValidationError(AwsError):
    """Input that the model allows and the service does not; not in the model, as AWS's own common error."""


class ALPNPolicyNotFound(AwsError):
    """There is no such ALPN policy."""


class AllocationIdNotFound(AwsError):
    """There is no such Elastic IP address."""


class CertificateNotFound(AwsError):
    """There is no such certificate."""


class DuplicateListener(AwsError):
    """The port is taken."""


class DuplicateLoadBalancerName(AwsError):
    """The name is taken, with other settings."""


class DuplicateTagKeys(AwsError):
    """A key comes twice."""


class DuplicateTargetGroupName(AwsError):
    """The name is taken, with other settings."""


class IncompatibleProtocols(AwsError):
    """The protocols do not go together."""


class InvalidConfigurationRequest(AwsError):
    """The configuration is not valid."""


class InvalidLoadBalancerAction(AwsError):
    """The action is not valid."""


class InvalidSecurityGroup(AwsError):
    """There is no such security group."""


class InvalidSubnet(AwsError):
    """The subnet cannot be used."""


class InvalidTarget(AwsError):
    """There is no such target, or it cannot be one."""


class ListenerNotFound(AwsError):
    """There is no such listener."""


class LoadBalancerNotFound(AwsError):
    """There is no such load balancer."""


class OperationNotPermitted(AwsError):
    """This cannot be done to it."""


class PriorityInUse(AwsError):
    """Another rule has the priority."""


class ResourceInUse(AwsError):
    """Something needs it."""


class ResourceNotFound(AwsError):
    """There is no such resource policy."""


class RuleNotFound(AwsError):
    """There is no such rule."""


class SSLPolicyNotFound(AwsError):
    """There is no such security policy."""


class SubnetNotFound(AwsError):
    """There is no such subnet."""


class TargetGroupAssociationLimit(AwsError):
    """Another load balancer uses the group."""


class TargetGroupNotFound(AwsError):
    """There is no such target group."""


class TooManyActions(AwsError):
    """A quota."""


class TooManyCertificates(AwsError):
    """A quota."""


class TooManyListeners(AwsError):
    """A quota."""


class TooManyLoadBalancers(AwsError):
    """A quota."""


class TooManyRules(AwsError):
    """A quota."""


class TooManyTags(AwsError):
    """A quota."""


class TooManyTargetGroups(AwsError):
    """A quota."""


class TooManyTargets(AwsError):
    """A quota."""


class TooManyUniqueTargetGroupsPerLoadBalancer(AwsError):
    """A quota."""


class TrustStoreNotFound(AwsError):
    """There are no trust stores."""


class UnsupportedProtocol(AwsError):
    """The protocol is not for this."""
