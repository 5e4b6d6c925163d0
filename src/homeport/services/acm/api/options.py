"""What only public certificates have, and there are none: validation, a choice of options, revocation."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.services.acm.api.context import Acm, Answer, Request, certificate_resource, find, ops
from homeport.services.acm.errors import InvalidStateException, ValidationException
from homeport.services.acm.model import Certificate
from homeport.services.acm.view import options_view


async def _held(call: Call, acm: Acm, req: Request) -> Certificate:
    return await acm.store.read(lambda tx: find(tx, call, req["CertificateArn"]))


@ops.operation("ResendValidationEmail", resources=certificate_resource)
async def resend_validation_email(call: Call, acm: Acm, req: Request) -> Answer:
    """Refused: no certificate waits for somebody to answer a mail."""
    held = await _held(call, acm, req)
    raise InvalidStateException(f"Certificate {held.arn} is not validated by e-mail: it is issued.")


@ops.operation("UpdateCertificateOptions", resources=certificate_resource)
async def update_certificate_options(call: Call, acm: Acm, req: Request) -> Answer:
    """The options as they are already: others are refused."""
    held = await _held(call, acm, req)
    there = options_view(held)
    for member, value in req["Options"].items():
        if there.get(member) != value:
            raise InvalidStateException(
                f"{member}={value} is for public certificates, which Homeport does not issue: certificate "
                f"{held.arn} has {there.get(member, 'none')}."
            )
    return {}


@ops.operation("RevokeCertificate", resources=certificate_resource)
async def revoke_certificate(call: Call, acm: Acm, req: Request) -> Answer:
    """Refused: clients would not hear of it. Source: API Reference: it is for public certificates."""
    held = await _held(call, acm, req)
    raise ValidationException(f"Certificate {held.arn} is not a public one: it cannot be revoked.")
