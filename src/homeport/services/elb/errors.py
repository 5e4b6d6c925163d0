"""Classic Load Balancing's modelled errors. Source: botocore elb 2012-06-01."""

from __future__ import annotations

from homeport.core.errors import AwsError


class ValidationError(AwsError):
    """Input that the model allows and the service does not; AWS's own common error."""

    code = "ValidationError"


class LoadBalancerNotFound(AwsError):
    """There is no such load balancer."""

    code = "LoadBalancerNotFound"


class DuplicateLoadBalancerName(AwsError):
    """The name is taken."""

    code = "DuplicateLoadBalancerName"


class TooManyLoadBalancers(AwsError):
    """A quota."""

    code = "TooManyLoadBalancers"


class CertificateNotFound(AwsError):
    """There is no such certificate."""

    code = "CertificateNotFound"


class DuplicateListener(AwsError):
    """The port is taken."""

    code = "DuplicateListener"


class DuplicatePolicyName(AwsError):
    """The name is taken."""

    code = "DuplicatePolicyName"


class DuplicateTagKeys(AwsError):
    """A key comes twice."""

    code = "DuplicateTagKeys"


class InvalidConfigurationRequest(AwsError):
    """The configuration is not valid."""

    code = "InvalidConfigurationRequest"
    status = 409


class InvalidInstance(AwsError):
    """There is no such instance."""

    code = "InvalidInstance"


class InvalidScheme(AwsError):
    """There is no such scheme."""

    code = "InvalidScheme"


class InvalidSecurityGroup(AwsError):
    """There is no such security group."""

    code = "InvalidSecurityGroup"


class InvalidSubnet(AwsError):
    """The subnet cannot be used."""

    code = "InvalidSubnet"


class ListenerNotFound(AwsError):
    """There is no such listener."""

    code = "ListenerNotFound"


class LoadBalancerAttributeNotFound(AwsError):
    """There is no such attribute."""

    code = "LoadBalancerAttributeNotFound"


class PolicyNotFound(AwsError):
    """There is no such policy."""

    code = "PolicyNotFound"


class PolicyTypeNotFound(AwsError):
    """There is no such type of policy."""

    code = "PolicyTypeNotFound"


class SubnetNotFound(AwsError):
    """There is no such subnet."""

    code = "SubnetNotFound"


class TooManyPolicies(AwsError):
    """A quota."""

    code = "TooManyPolicies"


class TooManyTags(AwsError):
    """A quota."""

    code = "TooManyTags"


class UnsupportedProtocol(AwsError):
    """The protocol is not for this."""

    code = "UnsupportedProtocol"
