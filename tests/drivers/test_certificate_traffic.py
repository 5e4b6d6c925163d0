"""From the API to the handshake: certificates of Certificate Manager on the listeners of a real proxy."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from homeport.app.balancers.certificates import BalancersUse, ShownCertificates
from homeport.app.balancers.logins import build_gate
from homeport.app.balancers.plane import LocalPlane
from homeport.app.wiring import SealedPages
from homeport.core.call import inner_call
from homeport.core.clock import SystemClock
from homeport.core.errors import AwsError
from homeport.core.ids import SystemIds
from homeport.services.acm import manifest as acm
from homeport.services.elbv2 import manifest as elbv2
from homeport.services.elbv2.ports import BALANCERS_CHANGED, Subnet, Vpc
from homeport.store.opening import open_memory_store
from homeport.store.vault import Vault
from tests.kit.certificates import alone, authority, rsa_key
from tests.kit.dataplane import FRONT, LoopbackAddress, free_port
from tests.kit.elbv2 import VPC, FakeNetwork

pytestmark = pytest.mark.slow
ROOT = authority()
ANSWER = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": "here"}}]


class World:
    """Both services over one store; the balancers' controller hears what the change feed says."""

    def __init__(self, folder: Path, roots: str = "") -> None:
        self.store, clock, ids = open_memory_store(), SystemClock(), SystemIds()
        vault, pages = Vault(bytes(32), ids), SealedPages(bytes(32))
        self.acm = acm.Acm(
            store=self.store, clock=clock, ids=ids, pages=pages, vault=vault, users=BalancersUse()
        )
        network = FakeNetwork()
        network.vpc_table[VPC] = Vpc(vpc_id=VPC, cidrs=("127.0.9.0/24",))
        for name, zone in (("subnet-0a", "us-east-1a"), ("subnet-0b", "us-east-1b")):
            network.subnet_table[name] = Subnet(subnet_id=name, vpc_id=VPC, zone=zone, cidr="127.0.9.0/24")
        gate = build_gate(self.store, clock, ids, vault, secret=bytes(32), roots=roots)
        self.plane = LocalPlane(folder, told=lambda group: None, outlives=False, gate=gate)
        self.materials = acm.Materials(self.acm)
        certificates = ShownCertificates(self.materials, self.plane.trust)
        self.controller = elbv2.BalancerController(
            self.store,
            clock,
            network=network,
            certificates=certificates,
            addresses=LoopbackAddress(),
            plane=self.plane,
        )
        self.elb = elbv2.Elbv2(
            store=self.store,
            clock=clock,
            ids=ids,
            pages=pages,
            vault=vault,
            network=network,
            certificates=certificates,
            balancing=self.controller,
        )

    async def ask(self, service: Any, operation: str, **request: Any) -> Any:
        """One operation, as the gateway would dispatch it."""
        call = inner_call(service.name, operation, "000000000000", "us-east-1")
        found = service.operations.find(operation)
        assert found is not None
        return await found.handler(call, self.acm if service is acm else self.elb, request)

    async def watch(self) -> None:
        """What the pump and a runner do."""
        async for batch in self.store.feed.subscribe(frozenset({BALANCERS_CHANGED})):
            keys = await self.controller.keys() if batch.resync else [one.key for one in batch.changes]
            for key in keys:
                await self.controller.reconcile(key)

    async def bring(self, *hosts: str, **request: Any) -> str:
        certificate, key = ROOT.leaf(*hosts)
        given = {"Certificate": certificate, "PrivateKey": key, "CertificateChain": ROOT.chain, **request}
        return str((await self.ask(acm, "ImportCertificate", **given))["CertificateArn"])

    async def request(self, *hosts: str) -> str:
        own = "arn:aws:acm-pca:us-east-1:000000000000:certificate-authority/homeport"
        asked = {
            "DomainName": hosts[0],
            "SubjectAlternativeNames": list(hosts),
            "CertificateAuthorityArn": own,
        }
        made = await self.ask(acm, "RequestCertificate", **asked, KeyAlgorithm="EC_prime256v1")
        return str(made["CertificateArn"])

    async def serial(self, arn: str) -> int:
        held = await self.ask(acm, "GetCertificate", CertificateArn=arn)
        return x509.load_pem_x509_certificate(held["Certificate"].encode()).serial_number

    async def balancer(self, kind: str = "application") -> str:
        made = await self.ask(
            elbv2, "CreateLoadBalancer", Name="web", Subnets=["subnet-0a", "subnet-0b"], Type=kind
        )
        return str(made["LoadBalancers"][0]["LoadBalancerArn"])

    async def listener(self, balancer: str, certificate: str) -> tuple[str, int]:
        port = free_port()
        made = await self.ask(
            elbv2,
            "CreateListener",
            LoadBalancerArn=balancer,
            Protocol="HTTPS",
            Port=port,
            Certificates=[{"CertificateArn": certificate}],
            DefaultActions=ANSWER,
        )
        return str(made["Listeners"][0]["ListenerArn"]), port


@pytest.fixture
async def world() -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory(prefix="hp-") as made:
        found = World(Path(made))
        try:
            async with asyncio.timeout(120), asyncio.TaskGroup() as group:
                loops = [group.create_task(found.plane.run()), group.create_task(found.watch())]
                yield found
                for loop in loops:
                    loop.cancel()
        finally:
            await found.store.close()


async def shown(port: int, name: str, trust: str = "") -> int:
    """The serial number of what a client of that name is shown; with `trust`, verified against that root."""
    context = ssl.create_default_context(cadata=trust) if trust else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not trust:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection(FRONT, port, ssl=context, server_hostname=name)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(der).serial_number


async def until_shown(port: int, name: str, serial: int) -> None:
    """Until new connections get this certificate. Nothing tells a client when: it is asked again."""
    while True:
        try:
            if await shown(port, name) == serial:
                return
        except OSError:
            pass
        await asyncio.sleep(0.05)


async def test_a_client_is_shown_the_certificate_of_the_name_it_asks_for(world: World) -> None:
    default, other = await world.bring("example.com"), await world.bring("*.example.org", "example.net")
    balancer = await world.balancer()
    listener, port = await world.listener(balancer, default)
    await until_shown(port, "example.com", await world.serial(default))
    await world.ask(
        elbv2, "AddListenerCertificates", ListenerArn=listener, Certificates=[{"CertificateArn": other}]
    )
    await until_shown(port, "a.example.org", await world.serial(other))
    assert await shown(port, "example.net") == await world.serial(other)
    assert await shown(port, "example.com") == await world.serial(default)
    assert await shown(port, "nobody.test") == await world.serial(default)
    assert await shown(port, "example.com", ROOT.chain.decode()) == await world.serial(default)


async def test_a_successor_is_shown_live_and_old_connections_go_on(world: World) -> None:
    arn = await world.bring("example.com")
    _, port = await world.listener(await world.balancer(), arn)
    before = await world.serial(arn)
    await until_shown(port, "example.com", before)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(FRONT, port, ssl=context, server_hostname="example.com")
    await world.bring("example.com", CertificateArn=arn)
    after = await world.serial(arn)
    assert after != before
    await until_shown(port, "example.com", after)
    writer.write(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
    assert b"200" in await reader.readline()
    writer.close()


async def test_names_that_a_successor_adds_are_served_too(world: World) -> None:
    default, other = await world.bring("example.com"), await world.bring("a.test")
    listener, port = await world.listener(await world.balancer(), default)
    await world.ask(
        elbv2, "AddListenerCertificates", ListenerArn=listener, Certificates=[{"CertificateArn": other}]
    )
    await until_shown(port, "a.test", await world.serial(other))
    assert await shown(port, "b.test") == await world.serial(default)
    await world.bring("a.test", "b.test", CertificateArn=other)
    await until_shown(port, "b.test", await world.serial(other))


async def test_a_client_that_trusts_the_installations_root_is_served(world: World) -> None:
    arn = await world.request("app.test", "*.app.test")
    _, port = await world.listener(await world.balancer(), arn)
    await until_shown(port, "app.test", await world.serial(arn))
    root = await world.materials.root()
    assert await shown(port, "x.app.test", root) == await world.serial(arn)
    with pytest.raises(ssl.SSLCertVerificationError):
        await shown(port, "other.test", root)
    await world.ask(acm, "RenewCertificate", CertificateArn=arn)
    await until_shown(port, "app.test", await world.serial(arn))


async def test_a_certificate_in_use_is_not_deleted_until_its_listener_is(world: World) -> None:
    arn = await world.bring("example.com")
    balancer = await world.balancer()
    listener, _ = await world.listener(balancer, arn)
    found = await world.ask(acm, "DescribeCertificate", CertificateArn=arn)
    assert found["Certificate"]["InUseBy"] == [balancer]
    with pytest.raises(AwsError, match="is in use by") as refused:
        await world.ask(acm, "DeleteCertificate", CertificateArn=arn)
    assert refused.value.code == "ResourceInUseException"
    await world.ask(elbv2, "DeleteListener", ListenerArn=listener)
    await world.ask(acm, "DeleteCertificate", CertificateArn=arn)


async def test_a_listener_takes_no_certificate_that_it_could_not_show(world: World) -> None:
    certificate, key = alone("example.com", key=rsa_key(1024))
    short = await world.ask(acm, "ImportCertificate", Certificate=certificate, PrivateKey=key)
    balancer = await world.balancer()
    with pytest.raises(AwsError, match="RSA_1024"):
        await world.listener(balancer, short["CertificateArn"])
    with pytest.raises(AwsError, match="not found"):
        await world.listener(balancer, "arn:aws:iam::000000000000:server-certificate/old")


@pytest.mark.parametrize("curve", ["EC_prime256v1", "EC_secp384r1", "EC_secp521r1"])
async def test_every_curve_is_shown(world: World, curve: str) -> None:
    own = "arn:aws:acm-pca:us-east-1:000000000000:certificate-authority/homeport"
    asked = {"DomainName": "app.test", "CertificateAuthorityArn": own, "KeyAlgorithm": curve}
    arn = (await world.ask(acm, "RequestCertificate", **asked))["CertificateArn"]
    _, port = await world.listener(await world.balancer(), arn)
    await until_shown(port, "app.test", await world.serial(arn))
