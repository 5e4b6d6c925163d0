"""AWS query and EC2's variant of it: form in, XML out.

Source: Smithy, "AWS query protocol", "AWS EC2 query protocol".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeport.wire import querytree, xmlbody
from homeport.wire.http import HttpAnswer, HttpRequest
from homeport.wire.model import OperationApi, ServiceApi
from homeport.wire.problems import Problems
from homeport.wire.protocols.base import Exchange, Failure, Parse, Speaker, failure_members
from homeport.wire.querytree import EC2_NAMES, QUERY_NAMES, Names
from homeport.wire.xmlbody import escape

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'


def _xmlns(service: ServiceApi | None) -> str:
    namespace = service.xml_namespace if service is not None else None
    return f' xmlns="{escape(namespace)}"' if namespace else ""


def _parse(operation: OperationApi, names: Names) -> Parse:
    read = querytree.new_readers(names)(operation.input)

    def parse(request: HttpRequest, labels: Mapping[str, str], out: Problems) -> Any:
        del labels
        return read(querytree.grow(querytree.pairs(request)), None, out)

    return parse


def exchange(service: ServiceApi, operation: OperationApi) -> Exchange:
    """How `operation` is parsed and answered in the query protocol."""
    name, output = operation.name, operation.output
    members = output.members if output is not None else {}
    write_members = (
        xmlbody.members_writer(output, members, xmlbody.new_writers()) if output is not None else None
    )
    wrapper = operation.result_wrapper or (f"{name}Result" if output is not None else None)
    opening = f"{_XML}<{name}Response{_xmlns(service)}>"

    def write(value: Mapping[str, Any], request_id: str, strict: bool) -> HttpAnswer:
        out = [opening]
        if wrapper is not None and write_members is not None:
            out.append(f"<{wrapper}>")
            write_members("", value, out, strict)
            out.append(f"</{wrapper}>")
        out.append(f"<ResponseMetadata><RequestId>{escape(request_id)}</RequestId></ResponseMetadata>")
        out.append(f"</{name}Response>")
        return _xml_answer(operation.status, request_id, "text/xml", out)

    return Exchange(_parse(operation, QUERY_NAMES), write)


def ec2_exchange(service: ServiceApi, operation: OperationApi) -> Exchange:
    """How `operation` is parsed and answered in the ec2 protocol."""
    name, output = operation.name, operation.output
    write_members = (
        xmlbody.members_writer(output, output.members, xmlbody.new_writers()) if output is not None else None
    )
    opening = f"{_XML}<{name}Response{_xmlns(service)}>"

    def write(value: Mapping[str, Any], request_id: str, strict: bool) -> HttpAnswer:
        out = [opening, f"<requestId>{escape(request_id)}</requestId>"]
        if write_members is not None:
            write_members("", value, out, strict)
        out.append(f"</{name}Response>")
        return _xml_answer(operation.status, request_id, "text/xml;charset=UTF-8", out)

    return Exchange(_parse(operation, EC2_NAMES), write)


def _xml_answer(status: int, request_id: str, content_type: str, out: list[str]) -> HttpAnswer:
    return HttpAnswer(
        status=status,
        headers=(("x-amzn-requestid", request_id), ("content-type", content_type)),
        body="".join(out).encode(),
    )


def wrapped_error(service: ServiceApi | None, failure: Failure) -> list[str]:
    """`<ErrorResponse><Error>...`, as query and most rest-xml services tell errors."""
    out = [f"{_XML}<ErrorResponse{_xmlns(service)}><Error><Type>{escape(failure.fault)}</Type>"]
    out.append(f"<Code>{escape(failure.code)}</Code>")
    out += error_members(failure)
    out.append(f"</Error><RequestId>{escape(failure.request_id)}</RequestId></ErrorResponse>")
    return out


def error_members(failure: Failure) -> list[str]:
    """The text, then the members that the error's shape knows."""
    out = [f"<Message>{escape(failure.message)}</Message>"]
    if failure.shape is not None:
        rest = {
            name: shape
            for name, shape in failure.shape.members.items()
            if name.lower() not in {"message", "code", "type"} and shape.location is None
        }
        write = xmlbody.members_writer(failure.shape, rest, xmlbody.new_writers())
        write("", failure_members(failure), out, False)
    return out


def fail(service: ServiceApi | None, failure: Failure) -> HttpAnswer:
    """An error of the query protocol."""
    return _xml_answer(failure.status, failure.request_id, "text/xml", wrapped_error(service, failure))


def ec2_fail(service: ServiceApi | None, failure: Failure) -> HttpAnswer:
    """An error of the ec2 protocol."""
    del service
    out = [
        f"{_XML}<Response><Errors><Error><Code>{escape(failure.code)}</Code>",
        f"<Message>{escape(failure.message)}</Message></Error></Errors>",
        f"<RequestID>{escape(failure.request_id)}</RequestID></Response>",
    ]
    return _xml_answer(failure.status, failure.request_id, "text/xml;charset=UTF-8", out)


QUERY = Speaker(exchange, fail)
EC2 = Speaker(ec2_exchange, ec2_fail)
