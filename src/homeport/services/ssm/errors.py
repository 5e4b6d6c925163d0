"""Parameter Store's modelled errors. Source: botocore ssm 2014-11-06."""

from __future__ import annotations

from homeport.core.errors import AwsError


class ValidationException(AwsError):
    """A parameter of the request is wrong. Not modelled for these operations, and what AWS answers."""

    code = "ValidationException"


class ParameterNotFound(AwsError):
    """There is no such parameter."""

    code = "ParameterNotFound"


class ParameterVersionNotFound(AwsError):
    """The parameter has no such version, or no version has the label."""

    code = "ParameterVersionNotFound"


class ParameterAlreadyExists(AwsError):
    """The name is taken, and nobody asked to overwrite."""

    code = "ParameterAlreadyExists"


class ParameterMaxVersionLimitExceeded(AwsError):
    """A hundred versions, and the oldest has a label."""

    code = "ParameterMaxVersionLimitExceeded"


class ParameterVersionLabelLimitExceeded(AwsError):
    """Ten labels a version."""

    code = "ParameterVersionLabelLimitExceeded"


class ParameterPatternMismatchException(AwsError):
    """The value is not what AllowedPattern allows."""

    code = "ParameterPatternMismatchException"


class InvalidAllowedPatternException(AwsError):
    """AllowedPattern is no regular expression."""

    code = "InvalidAllowedPatternException"


class HierarchyLevelLimitExceededException(AwsError):
    """Fifteen levels."""

    code = "HierarchyLevelLimitExceededException"


class HierarchyTypeMismatchException(AwsError):
    """A parameter keeps its type."""

    code = "HierarchyTypeMismatchException"


class UnsupportedParameterType(AwsError):
    """No such type."""

    code = "UnsupportedParameterType"


class InvalidKeyId(AwsError):
    """The KMS key cannot be used."""

    code = "InvalidKeyId"


class InvalidFilterKey(AwsError):
    """There is no such filter here."""

    code = "InvalidFilterKey"


class InvalidFilterOption(AwsError):
    """The filter has no such option."""

    code = "InvalidFilterOption"


class InvalidFilterValue(AwsError):
    """The filter cannot have such a value."""

    code = "InvalidFilterValue"


class InvalidNextToken(AwsError):
    """The token is not ours, or of another request."""

    code = "InvalidNextToken"


class InvalidResourceId(AwsError):
    """There is no such resource to tag."""

    code = "InvalidResourceId"


class InvalidResourceType(AwsError):
    """Only parameters are here."""

    code = "InvalidResourceType"


class TooManyTagsError(AwsError):
    """Fifty tags."""

    code = "TooManyTagsError"


class InternalServerError(AwsError):
    """Our own fault."""

    code = "InternalServerError"
    status = 500
    fault = "Receiver"
