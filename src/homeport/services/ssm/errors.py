"""Parameter Store's modelled errors. Source: botocore ssm 2014-11-06."""

from __future__ import annotations

from homeport.core.errors import AwsError


class ValidationException(AwsError):
    """A parameter of the request is wrong. Not modelled for these operations, and what AWS answers."""


class ParameterNotFound(AwsError):
    """There is no such parameter."""


class ParameterVersionNotFound(AwsError):
    """The parameter has no such version, or no version has the label."""


class ParameterAlreadyExists(AwsError):
    """The name is taken, and nobody asked to overwrite."""


class ParameterMaxVersionLimitExceeded(AwsError):
    """A hundred versions, and the oldest has a label."""


class ParameterVersionLabelLimitExceeded(AwsError):
    """Ten labels a version."""


class ParameterPatternMismatchException(AwsError):
    """The value is not what AllowedPattern allows."""


class InvalidAllowedPatternException(AwsError):
    """AllowedPattern is no regular expression."""


class HierarchyLevelLimitExceededException(AwsError):
    """Fifteen levels."""


class HierarchyTypeMismatchException(AwsError):
    """A parameter keeps its type."""


class InvalidKeyId(AwsError):
    """The KMS key cannot be used."""


class InvalidFilterKey(AwsError):
    """There is no such filter here."""


class InvalidFilterOption(AwsError):
    """The filter has no such option."""


class InvalidFilterValue(AwsError):
    """The filter cannot have such a value."""


class InvalidNextToken(AwsError):
    """The token is not ours, or of another request."""


class InvalidResourceId(AwsError):
    """There is no such resource to tag."""


class InvalidResourceType(AwsError):
    """Only parameters are here."""


class TooManyTagsError(AwsError):
    """Fifty tags."""


class InternalServerError(AwsError):
    """Our own fault."""

    status = 500
    fault = "Receiver"
