"""Only who holds the secret is believed, only for what was signed, only for a while.

Sources: IAM User Guide, "Create a signed AWS API request"; S3 API Reference,
"Authenticating Requests: Using Query Parameters".
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from homeport.core.sigv4 import Scope, canonical_request, signature, signing_key
from homeport.wire import sigv4
from homeport.wire.http import HttpRequest
from homeport.wire.sigv4 import FailureKind, SignatureError, auth_failure, claim
from tests.wire.signing import KEY, NOW, SECRET, SIGNERS, signed

QUICK = settings(max_examples=40, deadline=None)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_categories=["Cc"]), max_size=12)


def verify(
    request: HttpRequest, *, secret: str = SECRET, token: str | None = None, now: datetime = NOW
) -> bytes:
    found = claim(request)
    assert found is not None
    return sigv4.verify(request, found, secret, token, now)


def kind(
    request: HttpRequest, *, secret: str = SECRET, token: str | None = None, now: datetime = NOW
) -> FailureKind:
    with pytest.raises(SignatureError) as caught:
        verify(request, secret=secret, token=token, now=now)
    return caught.value.kind


@QUICK
@given(
    how=st.sampled_from(sorted(SIGNERS)),
    segments=st.lists(TEXT.filter(bool), max_size=4),
    query=st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=4, unique_by=lambda p: p[0]),
    body=st.binary(max_size=40),
    trailing=st.booleans(),
)
def test_what_botocore_signs_is_believed(
    how: str, segments: list[str], query: list[tuple[str, str]], body: bytes, trailing: bool
) -> None:
    target = "/" + "/".join(quote(s, safe="~") for s in segments) + ("/" if trailing and segments else "")
    assume(not any(s in {".", ".."} for s in segments))
    text = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in query)
    method = "GET" if how == "s3 presigned" else "POST"
    request = signed(
        how,
        method=method,
        target=f"{target}?{text}" if text else target,
        body=b"" if "pre" in how else body,
        headers={"x-amz-target": "A.B", "content-type": "application/x-amz-json-1.1", "x-odd": "  a   b "},
    )
    assert verify(request) == request.body
    found = claim(request)
    assert found is not None
    assert (found.access_key_id, found.scope.region) == (KEY, "us-east-1")
    assert found.presigned == ("presigned" in how)


@pytest.mark.parametrize("path", ["//a//b", "/a/../b/./c", "/a/b/", "/.", "/%2e%2e/x", "/a%2Fb"])
def test_paths_are_normalised_as_botocore_does(path: str) -> None:
    assert verify(signed(method="GET", target=path)) == b""


@pytest.mark.parametrize(
    "path", ["/bucket//a//b", "/bucket/a/../b", "/bucket/a%20b/", "/bucket/%E2%82%AC~(x)"]
)
def test_s3_paths_are_kept(path: str) -> None:
    if "(" in path:  # botocore itself would have encoded these
        path = path.replace("(", "%28").replace(")", "%29")
    assert verify(signed("s3 header", method="GET", target=path)) == b""
    assert kind(replace(signed("s3 header", method="GET", target="/b/a//b"), raw_path="/b/a/b")) == "mismatch"


def test_a_go_client_spells_spaces_in_a_query_as_plus() -> None:
    """Source: recorded connects of the ECS agent: Go's form encoding, signed as %20."""
    query = [("agentVersion", "1.105.1"), ("dockerVersion", "DockerVersion: 20.10.24+dfsg1")]
    headers = {"host": "127.0.0.1:18080", "x-amz-date": "20261120T120000Z"}
    scope = Scope("20261120", "us-east-1", "ecs")
    text = canonical_request(
        method="GET",
        path="/ws",
        query="&".join(f"{k}={quote(v, safe='-_.~')}" for k, v in query),
        headers=headers,
        signed_headers=("host", "x-amz-date"),
        payload_hash="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    )
    proof = signature(signing_key(SECRET, scope), timestamp="20261120T120000Z", scope=scope, request=text)
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders=host;x-amz-date, Signature={proof}"
    )
    request = HttpRequest(
        method="GET",
        raw_path="/ws",
        raw_query=urlencode(query),
        headers={**headers, "authorization": authorization, "upgrade": "websocket"},
        body=b"",
    )
    assert "+" in request.raw_query
    assert verify(request) == b""


@QUICK
@given(how=st.sampled_from(sorted(SIGNERS)), data=st.data())
def test_whatever_is_changed_afterwards_is_noticed(how: str, data: st.DataObject) -> None:
    request = signed(
        how, target="/a?b=c&d=e", body=b"" if "pre" in how else b"{}", headers={"x-amz-meta-a": "v"}
    )
    changes = {
        "method": replace(request, method="PUT"),
        "path": replace(request, raw_path="/a2"),
        "query value": replace(request, raw_query=request.raw_query.replace("b=c", "b=x")),
        "query name": replace(request, raw_query=request.raw_query.replace("b=c", "bb=c")),
        "more query": replace(request, raw_query=request.raw_query + "&z=1"),
        "host": replace(request, headers={**request.headers, "host": "evil"}),
        "signed header": replace(request, headers={**request.headers, "x-amz-meta-a": "w"}),
        "header gone": replace(
            request, headers={k: v for k, v in request.headers.items() if k != "x-amz-meta-a"}
        ),
        "header new": replace(request, headers={**request.headers, "x-amz-new": "1"}),
    }
    if how != "s3 presigned":
        changes["body"] = replace(request, body=request.body + b" ")
    name = data.draw(st.sampled_from(sorted(changes)))
    assert kind(changes[name]) in {FailureKind.MISMATCH, FailureKind.PAYLOAD_MISMATCH}


def test_headers_that_proxies_add_do_not_matter() -> None:
    request = signed()
    extra = {"x-amzn-trace-id": "Root=1", "via": "1.1 proxy", "x-forwarded-for": "10.0.0.1"}
    assert verify(replace(request, headers={**request.headers, **extra})) == b""


@QUICK
@given(at=st.integers(0, 63), digit=st.sampled_from("0123456789abcdef"))
def test_no_other_signature_is_accepted(at: int, digit: str) -> None:
    request = signed(body=b"{}")
    head, proof = request.headers["authorization"].split("Signature=")
    assume(proof[at] != digit)
    forged = f"{head}Signature={proof[:at]}{digit}{proof[at + 1 :]}"
    assert kind(replace(request, headers={**request.headers, "authorization": forged})) == "mismatch"


def test_another_secret_is_not_the_secret() -> None:
    assert kind(signed(), secret="other") == "mismatch"


@pytest.mark.parametrize("how", ["header", "s3 header"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_signature_is_current_for_fifteen_minutes_each_way(how: str, sign: int) -> None:
    request = signed(how)
    edge = timedelta(minutes=15) * sign
    assert verify(request, now=NOW + edge) == b""
    assert kind(request, now=NOW + edge + timedelta(seconds=sign)) == "expired"


def test_a_presigned_request_lasts_as_long_as_it_says() -> None:
    request = signed("presigned", method="GET")  # botocore's default: an hour
    assert verify(request, now=NOW + timedelta(hours=1)) == b""
    assert kind(request, now=NOW + timedelta(hours=1, seconds=1)) == "expired"
    assert verify(request, now=NOW - timedelta(minutes=15)) == b""
    assert kind(request, now=NOW - timedelta(minutes=15, seconds=1)) == "expired"


@pytest.mark.parametrize("seconds", ["0", "604801", "-1", "1e3", "", "\uff19"])
def test_a_presigned_request_lasts_at_most_a_week(seconds: str) -> None:
    request = signed("presigned", method="GET")
    query = request.raw_query.replace("X-Amz-Expires=3600", f"X-Amz-Expires={quote(seconds)}")
    assert kind(replace(request, raw_query=query)) == "incomplete"


@pytest.mark.parametrize("how", sorted(SIGNERS))
def test_a_session_token_must_be_the_keys_own(how: str) -> None:
    with_token, without = signed(how, token="tok/en+1="), signed(how)
    assert verify(with_token, token="tok/en+1=") == b""
    assert kind(with_token, token="other") == "token"
    assert kind(with_token) == "token"
    assert kind(without, token="tok/en+1=") == "token"


def test_the_scopes_date_must_be_the_requests() -> None:
    request = signed()
    moved = request.headers["authorization"].replace("20261120/", "20261119/")
    assert kind(replace(request, headers={**request.headers, "authorization": moved})) == "mismatch"


def test_host_must_be_signed() -> None:
    request = signed()
    authorization = request.headers["authorization"].replace("SignedHeaders=host;", "SignedHeaders=")
    assert kind(replace(request, headers={**request.headers, "authorization": authorization})) == "incomplete"


def test_nobody_claims_anything_unsigned() -> None:
    assert claim(HttpRequest(method="GET", raw_path="/", raw_query="Action=X", headers={}, body=b"")) is None


def test_one_proof_is_enough() -> None:
    presigned, header = signed("presigned", method="GET"), signed(method="GET")
    both = replace(presigned, headers={**presigned.headers, **header.headers})
    with pytest.raises(SignatureError) as caught:
        claim(both)
    assert caught.value.kind == "incomplete"
    twice = replace(presigned, raw_query=presigned.raw_query + "&x%2Damz-signature=" + "a" * 64)
    with pytest.raises(SignatureError) as caught:
        claim(twice)
    assert caught.value.kind == "incomplete"


@QUICK
@given(
    st.one_of(
        st.text(max_size=60),
        st.builds(
            "{} Credential={}, SignedHeaders={}, Signature={}".format,
            st.sampled_from(["AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "AWS3"]),
            st.sampled_from(
                [f"{KEY}/20261120/us-east-1/ecs/aws4_request", "a/b/c", f"{KEY}/20261399/r/s/aws4_request"]
            ),
            st.sampled_from(["host;x-amz-date", "host", "Host", "x;host", "host;host", "", ";"]),
            st.sampled_from(["a" * 64, "A" * 64, "", "a" * 63]),
        ),
    ),
    st.one_of(st.none(), st.text(max_size=20), st.sampled_from(["20261120T120000Z", "20261320T120000Z"])),
)
def test_nonsense_is_refused_and_never_crashes(authorization: str, date: str | None) -> None:
    headers = {"host": "h", "authorization": authorization} | ({} if date is None else {"x-amz-date": date})
    request = HttpRequest(method="GET", raw_path="/", raw_query="", headers=headers, body=b"")
    with pytest.raises(SignatureError):
        verify(request)


@QUICK
@given(st.text(max_size=40), st.text(max_size=20))
def test_a_strange_target_is_refused_and_never_crashes(query: str, path: str) -> None:
    request = signed("presigned", method="GET")
    strange = replace(request, raw_path="/" + path, raw_query=request.raw_query + "&" + query)
    assume((strange.raw_path, query) != ("/", ""))
    try:
        verify(strange)
    except SignatureError:
        return
    assert set(strange.raw_path) <= {"/", "."}  # which normalise to what was signed
    assert not query.strip("&")


def test_the_date_header_will_do() -> None:
    request = signed(headers={"Date": "x"})
    assert "x-amz-date" not in request.headers
    assert verify(request) == b""
    without = {k: v for k, v in request.headers.items() if k != "date"}
    with pytest.raises(SignatureError):
        claim(replace(request, headers=without))


def test_text_beyond_ascii_in_a_signed_header_is_utf8() -> None:
    request = signed("s3 header", headers={"x-amz-meta-name": "Grüße"})
    as_received = request.headers["x-amz-meta-name"].encode().decode("latin-1")
    assert verify(replace(request, headers={**request.headers, "x-amz-meta-name": as_received})) == b""


def _unsigned_payload(service: str) -> HttpRequest:
    headers = {"host": "h", "x-amz-date": "20261120T120000Z", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    scope = Scope("20261120", "us-east-1", service)
    names = tuple(sorted(headers))
    text = canonical_request(
        method="PUT",
        path="/b/k",
        query="",
        headers=headers,
        signed_headers=names,
        payload_hash="UNSIGNED-PAYLOAD",
    )
    proof = signature(signing_key(SECRET, scope), timestamp="20261120T120000Z", scope=scope, request=text)
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={';'.join(names)}, Signature={proof}"
    )
    return HttpRequest(
        method="PUT",
        raw_path="/b/k",
        raw_query="",
        headers={**headers, "authorization": authorization},
        body=b"any",
    )


def test_an_unsigned_payload_is_for_s3_only() -> None:
    assert verify(_unsigned_payload("s3")) == b"any"
    assert kind(_unsigned_payload("ecs")) == "payload_mismatch"


@pytest.mark.parametrize("protocol", ["json", "query", "ec2", "rest-json", "rest-xml", "smithy-rpc-v2-cbor"])
def test_every_refusal_has_a_code_in_every_protocol(protocol: str) -> None:
    for reason in FailureKind:
        code, status = auth_failure(reason, protocol)
        assert code
        assert 400 <= status < 500


def test_codes_are_the_observed_ones() -> None:
    """Sources: issues aws/amazon-ecs-agent#1513, aws/aws-cli#6676, serverless#27, aws-sdk-go-v2#1674."""
    assert auth_failure(FailureKind.EXPIRED, "json") == ("InvalidSignatureException", 400)
    assert auth_failure(FailureKind.EXPIRED, "query") == ("SignatureDoesNotMatch", 403)
    assert auth_failure(FailureKind.EXPIRED, "rest-json") == ("InvalidSignatureException", 403)
    assert auth_failure(FailureKind.EXPIRED_TOKEN, "ec2") == ("RequestExpired", 400)
