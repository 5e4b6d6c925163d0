"""Encrypted listeners on the real proxy: certificates by name, protocols, and other certificates at once."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace

import grpc
import grpc.aio
import pytest
from cryptography import x509

from homeport.dataplane.model import Balancer, Certificate, Protocol, ProtocolVersion, TlsMaterial, TlsPolicy
from tests.kit.certificates import self_signed
from tests.kit.dataplane import FRONT, Upstream, balancer, data_plane, free_port, group, read_answer

pytestmark = pytest.mark.slow
DEFAULT = Certificate(id="default", names=("example.com",))
OTHER = Certificate(id="other", names=("*.example.org",))


def encrypted(port: int, up: Upstream, policy: TlsPolicy | None = None) -> Balancer:
    one = balancer(port, group("g", up))
    listener = replace(
        one.listeners[0],
        protocol=Protocol.HTTPS,
        certificates=(DEFAULT, OTHER),
        tls_policy=policy or TlsPolicy(),
    )
    return replace(one, listeners=(listener,))


def materials() -> dict[str, TlsMaterial]:
    found = (self_signed("default", "example.com"), self_signed("other", "*.example.org"))
    return {one.id: one for one in found}


def serial(chain: bytes) -> int:
    return x509.load_pem_x509_certificate(chain).serial_number


async def shake(port: int, name: str, *, alpn: str = "http/1.1") -> tuple[int, str | None]:
    """The served certificate's serial number, and the protocol."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    _, writer = await asyncio.open_connection(FRONT, port, ssl=context, server_hostname=name)
    seen = writer.get_extra_info("ssl_object")
    found = x509.load_der_x509_certificate(seen.getpeercert(binary_form=True)).serial_number
    protocol = seen.selected_alpn_protocol()
    writer.close()
    return found, protocol


async def test_a_client_gets_the_certificate_of_the_name_it_asks_for() -> None:
    port, known = free_port(), materials()
    async with Upstream(name="a").serving() as a, data_plane() as plane:
        plane.serve([encrypted(port, a)], known.values())
        assert await plane.until_live() == ()
        assert (await shake(port, "x.example.org"))[0] == serial(known["other"].chain)
        assert (await shake(port, "example.com"))[0] == serial(known["default"].chain)
        assert (await shake(port, "nobody.test"))[0] == serial(known["default"].chain)
        assert [(await shake(port, "example.com", alpn=one))[1] for one in ("h2", "http/1.1")] == [
            "h2",
            "http/1.1",
        ]
        renewed = known | {"default": self_signed("default", "example.com")}
        plane.serve([encrypted(port, a)], renewed.values())
        assert await plane.until_live() == ()
        async with asyncio.timeout(10):
            while (await shake(port, "example.com"))[0] != serial(renewed["default"].chain):
                pass


async def test_a_target_hears_that_the_client_came_encrypted() -> None:
    port, known = free_port(), materials()
    async with Upstream(name="a").serving() as a, data_plane() as plane:
        plane.serve([encrypted(port, a)], known.values())
        await plane.until_live()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(
            FRONT, port, ssl=context, server_hostname="example.com"
        )
        writer.write(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        assert (await read_answer(reader)).body == b"a"
        assert a.asked[-1].header("x-forwarded-proto") == "https"
        writer.close()


async def test_a_group_of_http_2_takes_no_requests_of_http_1() -> None:
    """It has no targets: whoever may come in is told so (503). Source: guide, "Troubleshoot", HTTP 464."""
    port, known = free_port(), materials()
    async with asyncio.timeout(60), Upstream(name="a").serving() as a, data_plane() as plane:
        one = encrypted(port, a)
        empty = replace(one.groups[0], targets=(), version=ProtocolVersion.HTTP2)
        plane.serve([replace(one, groups=(empty,))], known.values())
        assert await plane.until_live() == ()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(FRONT, port, ssl=context)
        writer.write(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        assert (await read_answer(reader)).status == 464
        writer.close()
        options = (("grpc.ssl_target_name_override", "example.com"),)
        trust = grpc.ssl_channel_credentials(known["default"].chain)
        async with grpc.aio.secure_channel(f"{FRONT}:{port}", trust, options=options) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary("/a.B/C")(b"")
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_policy_decides_which_versions_are_spoken() -> None:
    port, known = free_port(), materials()
    async with Upstream(name="a").serving() as a, data_plane() as plane:
        plane.serve([encrypted(port, a, TlsPolicy(versions=("TLSv1.3",)))], known.values())
        await plane.until_live()
        await shake(port, "example.com")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            await asyncio.open_connection(FRONT, port, ssl=context, server_hostname="example.com")
