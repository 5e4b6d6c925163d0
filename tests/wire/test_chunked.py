"""Chunked uploads are believed chunk by chunk.

Source: S3 API Reference, "Signature Calculations for the Authorization Header:
Transferring Payload in Multiple Chunks", whose example is used here as it is.
"""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.core.sigv4 import EMPTY_SHA256, Scope, signing_key
from homeport.wire.chunked import (
    SIGNED,
    SIGNED_TRAILER,
    UNSIGNED_TRAILER,
    ChunkError,
    Seed,
    checksum,
    unwrap,
)

SCOPE = Scope("20130524", "us-east-1", "s3")
SEED = Seed(
    key=signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", SCOPE),
    timestamp="20130524T000000Z",
    scope=str(SCOPE),
    signature="4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
)
EXAMPLE = (
    b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
    + b"a" * 65536
    + b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n"
    + b"a" * 1024
    + b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
)
LENGTH = {"x-amz-decoded-content-length": "66560"}


def test_the_documented_example_is_believed() -> None:
    assert unwrap(SIGNED, LENGTH, EXAMPLE, SEED) == b"a" * 66560


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(EXAMPLE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed_wherever_it_is(at: int, change: int) -> None:
    changed = bytearray(EXAMPLE)
    changed[at] ^= change
    if at in {0, 65627 + 0} and bytes(changed).lower() == EXAMPLE.lower():
        return
    with pytest.raises(ChunkError):
        unwrap(SIGNED, LENGTH, bytes(changed), SEED)


@pytest.mark.parametrize("cut", [0, 1, 80, 100, 65700, len(EXAMPLE) - 2, len(EXAMPLE) - 1])
def test_a_body_that_is_cut_short_is_noticed(cut: int) -> None:
    with pytest.raises(ChunkError):
        unwrap(SIGNED, LENGTH, EXAMPLE[:cut], SEED)


@pytest.mark.parametrize("length", ["66559", "", "x", "-1", "0"])
def test_the_promised_length_must_be_kept(length: str) -> None:
    with pytest.raises(ChunkError):
        unwrap(SIGNED, {"x-amz-decoded-content-length": length}, EXAMPLE, SEED)


def _chunked(payload: bytes, size: int, trailers: bytes) -> bytes:
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n" + trailers


@settings(max_examples=40, deadline=None)
@given(
    st.binary(max_size=200),
    st.integers(1, 64),
    st.sampled_from(["crc32", "crc32c", "sha1", "sha256", "crc64nvme"]),
)
def test_a_trailing_checksum_is_checked(payload: bytes, size: int, algorithm: str) -> None:
    name = f"x-amz-checksum-{algorithm}"
    proof = base64.b64encode(checksum(algorithm, payload))
    headers = {"x-amz-decoded-content-length": str(len(payload)), "x-amz-trailer": name}
    body = _chunked(payload, size, name.encode() + b":" + proof + b"\r\n\r\n")
    assert unwrap(UNSIGNED_TRAILER, headers, body, SEED) == payload
    other = base64.b64encode(checksum(algorithm, payload + b"x"))
    with pytest.raises(ChunkError):
        unwrap(
            UNSIGNED_TRAILER,
            headers,
            _chunked(payload, size, name.encode() + b":" + other + b"\r\n\r\n"),
            SEED,
        )
    with pytest.raises(ChunkError):
        unwrap(UNSIGNED_TRAILER, headers, _chunked(payload, size, b"\r\n"), SEED)


def _signed_with_trailer(payload: bytes, trailer: str, *, key: bytes = SEED.key) -> bytes:
    """An independent rendering of the documented arithmetic."""
    seed = Seed(key=key, timestamp=SEED.timestamp, scope=SEED.scope, signature=SEED.signature)
    previous, out = seed.signature, b""
    for piece in (payload, b""):
        previous = seed.sign("PAYLOAD", previous, f"{EMPTY_SHA256}\n{hashlib.sha256(piece).hexdigest()}")
        out += b"%x;chunk-signature=%s\r\n%s" % (len(piece), previous.encode(), piece) + (
            b"\r\n" if piece else b""
        )
    proof = seed.sign("TRAILER", previous, hashlib.sha256(f"{trailer}\n".encode()).hexdigest())
    return out + f"{trailer}\r\nx-amz-trailer-signature:{proof}\r\n\r\n".encode()


def test_signed_trailers_are_checked() -> None:
    crc = base64.b64encode(zlib.crc32(b"payload").to_bytes(4, "big")).decode()
    trailer = f"x-amz-checksum-crc32:{crc}"
    headers = {"x-amz-decoded-content-length": "7", "x-amz-trailer": "x-amz-checksum-crc32"}
    assert unwrap(SIGNED_TRAILER, headers, _signed_with_trailer(b"payload", trailer), SEED) == b"payload"
    with pytest.raises(ChunkError):
        unwrap(SIGNED_TRAILER, headers, _signed_with_trailer(b"payload", trailer, key=b"k" * 32), SEED)
    forged = _signed_with_trailer(b"payload", trailer).replace(crc.encode(), b"AAAAAA==")
    with pytest.raises(ChunkError):
        unwrap(SIGNED_TRAILER, headers, forged, SEED)


def test_checksums_have_their_documented_check_values() -> None:
    """Source: the catalogue of CRC algorithms: the CRC of "123456789"."""
    assert checksum("crc32", b"123456789").hex() == "cbf43926"
    assert checksum("crc32c", b"123456789").hex() == "e3069283"
    assert checksum("crc64nvme", b"123456789").hex() == "ae8b14860a799888"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=120), st.sampled_from([SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER, "STREAMING-ODD"]))
def test_nonsense_is_refused_and_never_crashes(body: bytes, kind: str) -> None:
    with pytest.raises(ChunkError):
        unwrap(
            kind, {"x-amz-decoded-content-length": "5", "x-amz-trailer": "x-amz-checksum-crc32"}, body, SEED
        )
