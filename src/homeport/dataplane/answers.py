"""Answers that are the balancer's own: for what reason, with which status, and how they look.

Source: Application Load Balancer guide, "Troubleshoot your Application Load Balancers"; the page's form as
the load balancer was seen to send it.
"""

from __future__ import annotations

from homeport.dataplane.counters import OURS, OWN
from homeport.dataplane.types import Body, typed

SERVER = "awselb/2.0"

TITLES = {
    400: "400 Bad Request",
    401: "401 Authorization Required",
    403: "403 Forbidden",
    405: "405 Not Allowed",
    408: "408 Request Time-out",
    413: "413 Request Entity Too Large",
    414: "414 Request-URI Too Large",
    463: "463",
    464: "464",
    500: "500 Internal Server Error",
    501: "501 Not Implemented",
    502: "502 Bad Gateway",
    503: "503 Service Temporarily Unavailable",
    504: "504 Gateway Time-out",
    505: "505 HTTP Version Not Supported",
    561: "561",
}

NOT_CONNECTED = ("UF",)
BROKEN = ("UC", "UR", "UPE", "LR", "UF")
"""The target refused, broke off, or said what is no HTTP."""
NOBODY = ("UH", "NC", "UO", "NFCF")
"""The group has no targets."""
LATE = ("UT", "UMSDR")
IDLE = ("SI", "DT")
"""Nothing moved for the idle timeout: who was it? The status tells."""
CLIENT = ("DPE",)
UNROUTED = ("NR",)
SLOW = 'response.code_details.contains("timeout")'
OTHER_VERSION = 'response.code_details.contains("matched_policy[version]")'
"""The request is of a version of HTTP that its group does not speak (see `versions`)."""
UNSAID = 'response.code_details.startsWith("rbac_access_denied")'
"""A token does not say what a rule wants."""
PROVIDER_REFUSED = 511
"""What is said to the proxy for 561, which is none of the statuses that it knows."""
LOGIN_REFUSED = 'response.code_details == "ext_authz_denied"'
NOT_WRITTEN = '!(response.code_details in ["direct_response", "lua_response"])'
"""The answer is not one that a rule says."""


def page(status: int) -> str:
    """The body of an answer with this status."""
    title = TITLES[status]
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )


def own_headers(server: bool) -> list[Body]:
    """Headers of every answer that is the balancer's own."""
    return [_set("server", SERVER)] if server else []


def _set(name: str, value: str) -> Body:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def direct(status: int, *, server: bool) -> Body:
    """A route that answers so: it is the balancer's own answer, not a rule's."""
    headers = [_set("content-type", "text/html"), *own_headers(server)]
    return {
        "direct_response": {"status": status, "body": {"inline_string": page(status)}},
        "metadata": {"filter_metadata": {OURS: {OWN: "yes"}}},
        "response_headers_to_add": headers,
    }


def fixed(status: int, content_type: str, body: str, *, server: bool) -> Body:
    """A route that answers with what somebody wrote."""
    answer: Body = {"status": status}
    if body:
        answer["body"] = {"inline_string": body}
    headers = [_set("content-type", content_type)] if body else []
    return {"direct_response": answer, "response_headers_to_add": [*headers, *own_headers(server)]}


def local_replies(*, server: bool) -> Body:
    """What the proxy's own refusals become: the first that fits.

    An answer that a rule fixes stays as it is written.
    """
    mappers = [
        _mapper(464, _cel(OTHER_VERSION), server=server),
        _mapper(401, _cel(UNSAID), server=server),
        *_sent_away(server=server),
        _mapper(561, _status(PROVIDER_REFUSED), _cel(LOGIN_REFUSED), server=server),
        _mapper(504, _flags(NOT_CONNECTED), _cel(SLOW), server=server),
        _mapper(502, _flags(BROKEN), server=server),
        _mapper(503, _flags(NOBODY), server=server),
        _mapper(504, _flags(LATE), server=server),
        _mapper(408, _flags(IDLE), _status(408), server=server),
        _mapper(504, _flags(IDLE), server=server),
        _mapper(501, _flags(CLIENT), _status(501), server=server),
        _mapper(505, _flags(CLIENT), _status(505), server=server),
        _mapper(408, _flags(CLIENT), _status(408), server=server),
        _mapper(400, _flags((*CLIENT, *UNROUTED)), server=server),
        _mapper(400, _cel(NOT_WRITTEN), _status(431), server=server),
        *(_mapper(status, _cel(NOT_WRITTEN), _status(status), server=server) for status in TITLES),
    ]
    return {"mappers": mappers}


def _sent_away(*, server: bool) -> list[Body]:
    """A client that is to log in first: its answer has no page."""
    filters = [_status(302), _cel(LOGIN_REFUSED)]
    return [{"filter": {"and_filter": {"filters": filters}}, "headers_to_add": own_headers(server)}]


def _flags(flags: tuple[str, ...]) -> Body:
    return {"response_flag_filter": {"flags": list(flags)}}


def _status(status: int) -> Body:
    value = {"default_value": status, "runtime_key": "homeport.none"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _cel(expression: str) -> Body:
    config = typed("envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter", expression=expression)
    return {
        "extension_filter": {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": config}
    }


def _mapper(status: int, *filters: Body, server: bool) -> Body:
    one = filters[0] if len(filters) == 1 else {"and_filter": {"filters": list(filters)}}
    form = {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}, "content_type": "text/html"}
    return {
        "filter": one,
        "status_code": status,
        "body": {"inline_string": page(status)},
        "body_format_override": form,
        "headers_to_add": own_headers(server),
    }
