"""What nobody has here, because it cannot be made: passwords, MFA devices, SSH keys, certificates.

Tools ask for all of it before they delete a user (Terraform with `force_destroy`); the truth lets them go on.
"""

from __future__ import annotations

from homeport.core.call import Call
from homeport.services.iam.api.access import USER, guarded
from homeport.services.iam.api.context import Answer, Iam, Request, behind, find, ops, own_user_name, page_of
from homeport.services.iam.errors import NoSuchEntityException
from homeport.services.iam.model import User
from homeport.store.tx import Tx

NOTHING: tuple[str, ...] = ()
LISTINGS = {
    "ListMFADevices": "MFADevices",
    "ListSSHPublicKeys": "SSHPublicKeys",
    "ListSigningCertificates": "Certificates",
    "ListServiceSpecificCredentials": "ServiceSpecificCredentials",
}


def _empty(member: str, req: Request) -> Answer:
    return page_of(member, behind(NOTHING, req, key=str), req, key=str, view=str)


def _listing(name: str, member: str) -> None:
    @guarded(name, USER)
    async def listing(call: Call, iam: Iam, req: Request) -> Answer:
        """None; but the user must be there."""

        def work(tx: Tx) -> None:
            if named := req.get("UserName") or own_user_name(tx, call):
                find(tx, call, User, named)

        await iam.store.read(work)
        return _empty(member, req)


for _name, _member in LISTINGS.items():
    _listing(_name, _member)


@ops.operation("ListVirtualMFADevices")
async def list_virtual_mfa_devices(call: Call, iam: Iam, req: Request) -> Answer:
    """None, assigned or not."""
    del call, iam
    return _empty("VirtualMFADevices", req)


async def _no_profile(call: Call, iam: Iam, req: Request) -> Answer:
    def work(tx: Tx) -> str:
        return find(tx, call, User, req.get("UserName") or own_user_name(tx, call)).name

    name = await iam.store.read(work)
    raise NoSuchEntityException(f"Login Profile for User {name} cannot be found.")


@guarded("GetLoginProfile", USER)
async def get_login_profile(call: Call, iam: Iam, req: Request) -> Answer:
    """No user has a password."""
    return await _no_profile(call, iam, req)


@guarded("DeleteLoginProfile", USER)
async def delete_login_profile(call: Call, iam: Iam, req: Request) -> Answer:
    """No user has a password."""
    return await _no_profile(call, iam, req)
