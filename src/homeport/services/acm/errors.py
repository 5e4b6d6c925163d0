"""Certificate Manager's modelled errors. Source: botocore acm 2015-12-08."""

from __future__ import annotations

from homeport.core.errors import AwsError


class ValidationException(AwsError):
    """Input that the model allows and the service does not."""

    code = "ValidationException"


class InvalidArnException(AwsError):
    """The ARN is no certificate's."""

    code = "InvalidArnException"


class InvalidArgsException(AwsError):
    """Arguments that do not go together."""

    code = "InvalidArgsException"


class InvalidParameterException(AwsError):
    """A parameter is not valid."""

    code = "InvalidParameterException"


class InvalidTagException(AwsError):
    """A tag is not allowed."""

    code = "InvalidTagException"


class InvalidDomainValidationOptionsException(AwsError):
    """Domains cannot be validated so."""

    code = "InvalidDomainValidationOptionsException"


class LimitExceededException(AwsError):
    """A quota."""

    code = "LimitExceededException"


class ResourceInUseException(AwsError):
    """Something shows the certificate to its clients."""

    code = "ResourceInUseException"


class ResourceNotFoundException(AwsError):
    """There is no such certificate."""

    code = "ResourceNotFoundException"


class TooManyTagsException(AwsError):
    """More than fifty."""

    code = "TooManyTagsException"
