"""Certificate Manager's modelled errors. Source: botocore acm 2015-12-08."""

from __future__ import annotations

from homeport.core.errors import AwsError


class ValidationException(AwsError):
    """Input that the model allows and the service does not."""


class InvalidArnException(AwsError):
    """The ARN is no certificate's."""


class InvalidArgsException(AwsError):
    """Arguments that do not go together."""


class InvalidParameterException(AwsError):
    """A parameter is not valid."""


class InvalidTagException(AwsError):
    """A tag is not allowed."""


class InvalidDomainValidationOptionsException(AwsError):
    """Domains cannot be validated so."""


class LimitExceededException(AwsError):
    """A quota."""


class InvalidStateException(AwsError):
    """This is not for a certificate like that."""

    code = "InvalidStateException"


class ResourceInUseException(AwsError):
    """Something shows the certificate to its clients."""


class ResourceNotFoundException(AwsError):
    """There is no such certificate."""


class TooManyTagsException(AwsError):
    """More than fifty."""
