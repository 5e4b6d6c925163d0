"""STS's modelled errors. Source: botocore sts 2011-06-15."""

from __future__ import annotations

from homeport.core.errors import AwsError


class ValidationError(AwsError):
    """A parameter is wrong. Not modelled: AWS's query services share it."""

    code = "ValidationError"


class AccessDenied(AwsError):
    """The caller may not. Not modelled: AWS's query services share it."""

    code = "AccessDenied"
    status = 403
