"""Elastic Load Balancing's modelled errors. Source: botocore elbv2 2015-12-01."""

from __future__ import annotations

from homeport.core.errors import AwsError


class ValidationError(AwsError):
    """Input that the model allows and the service does not; not in the model, as AWS's own common error."""

    code = "ValidationError"


class ALPNPolicyNotFound(AwsError):
    """There is no such ALPN policy."""

    code = "ALPNPolicyNotFound"


class AllocationIdNotFound(AwsError):
    """There is no such Elastic IP address."""

    code = "AllocationIdNotFound"


class CertificateNotFound(AwsError):
    """There is no such certificate."""

    code = "CertificateNotFound"


class DuplicateListener(AwsError):
    """The port is taken."""

    code = "DuplicateListener"


class DuplicateLoadBalancerName(AwsError):
    """The name is taken, with other settings."""

    code = "DuplicateLoadBalancerName"


class DuplicateTagKeys(AwsError):
    """A key comes twice."""

    code = "DuplicateTagKeys"


class DuplicateTargetGroupName(AwsError):
    """The name is taken, with other settings."""

    code = "DuplicateTargetGroupName"


class IncompatibleProtocols(AwsError):
    """The protocols do not go together."""

    code = "IncompatibleProtocols"


class InvalidConfigurationRequest(AwsError):
    """The configuration is not valid."""

    code = "InvalidConfigurationRequest"


class InvalidLoadBalancerAction(AwsError):
    """The action is not valid."""

    code = "InvalidLoadBalancerAction"


class InvalidSecurityGroup(AwsError):
    """There is no such security group."""

    code = "InvalidSecurityGroup"


class InvalidSubnet(AwsError):
    """The subnet cannot be used."""

    code = "InvalidSubnet"


class InvalidTarget(AwsError):
    """There is no such target, or it cannot be one."""

    code = "InvalidTarget"


class ListenerNotFound(AwsError):
    """There is no such listener."""

    code = "ListenerNotFound"


class LoadBalancerNotFound(AwsError):
    """There is no such load balancer."""

    code = "LoadBalancerNotFound"


class OperationNotPermitted(AwsError):
    """This cannot be done to it."""

    code = "OperationNotPermitted"


class PriorityInUse(AwsError):
    """Another rule has the priority."""

    code = "PriorityInUse"


class ResourceInUse(AwsError):
    """Something needs it."""

    code = "ResourceInUse"


class ResourceNotFound(AwsError):
    """There is no such resource policy."""

    code = "ResourceNotFound"


class RuleNotFound(AwsError):
    """There is no such rule."""

    code = "RuleNotFound"


class SSLPolicyNotFound(AwsError):
    """There is no such security policy."""

    code = "SSLPolicyNotFound"


class SubnetNotFound(AwsError):
    """There is no such subnet."""

    code = "SubnetNotFound"


class TargetGroupAssociationLimit(AwsError):
    """Another load balancer uses the group."""

    code = "TargetGroupAssociationLimit"


class TargetGroupNotFound(AwsError):
    """There is no such target group."""

    code = "TargetGroupNotFound"


class TooManyActions(AwsError):
    """A quota."""

    code = "TooManyActions"


class TooManyCertificates(AwsError):
    """A quota."""

    code = "TooManyCertificates"


class TooManyListeners(AwsError):
    """A quota."""

    code = "TooManyListeners"


class TooManyLoadBalancers(AwsError):
    """A quota."""

    code = "TooManyLoadBalancers"


class TooManyRules(AwsError):
    """A quota."""

    code = "TooManyRules"


class TooManyTags(AwsError):
    """A quota."""

    code = "TooManyTags"


class TooManyTargetGroups(AwsError):
    """A quota."""

    code = "TooManyTargetGroups"


class TooManyTargets(AwsError):
    """A quota."""

    code = "TooManyTargets"


class TooManyUniqueTargetGroupsPerLoadBalancer(AwsError):
    """A quota."""

    code = "TooManyUniqueTargetGroupsPerLoadBalancer"


class TrustStoreNotFound(AwsError):
    """There are no trust stores."""

    code = "TrustStoreNotFound"


class UnsupportedProtocol(AwsError):
    """The protocol is not for this."""

    code = "UnsupportedProtocol"
