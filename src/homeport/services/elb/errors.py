"""Classic Load Balancing's modelled errors. Source: botocore elb 2012-06-01."""

from __future__ import annotations

from homeport.core.errors import AwsError


class ValidationError(AwsError):
    """Input that the model allows and the service does not; AWS's own common error."""


class LoadBalancerNotFound(AwsError):
    """There is no such load balancer."""


class DuplicateLoadBalancerName(AwsError):
    """The name is taken."""


class TooManyLoadBalancers(AwsError):
    """A quota."""


class CertificateNotFound(AwsError):
    """There is no such certificate."""


class DuplicateListener(AwsError):
    """The port is taken."""


class DuplicatePolicyName(AwsError):
    """The name is taken."""


class DuplicateTagKeys(AwsError):
    """A key comes twice."""


class InvalidConfigurationRequest(AwsError):
    """The configuration is not valid."""

    status = 409


class InvalidInstance(AwsError):
    """There is no such instance."""


class InvalidScheme(AwsError):
    """There is no such scheme."""


class InvalidSecurityGroup(AwsError):
    """There is no such security group."""


class InvalidSubnet(AwsError):
    """The subnet cannot be used."""


class ListenerNotFound(AwsError):
    """There is no such listener."""


class PolicyNotFound(AwsError):
    """There is no such policy."""


class PolicyTypeNotFound(AwsError):
    """There is no such type of policy."""


class SubnetNotFound(AwsError):
    """There is no such subnet."""


class TooManyPolicies(AwsError):
    """A quota."""


class TooManyTags(AwsError):
    """A quota."""


class UnsupportedProtocol(AwsError):
    """The protocol is not for this."""
