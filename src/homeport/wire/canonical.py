"""A request's path, query and headers in the spelling that signatures cover."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

_PLAIN_QUERY = re.compile(r"[\w.~&=-]*", re.ASCII)
_PLAIN_PATH = re.compile(r"(/[\w~-][\w.~-]*)+", re.ASCII)


def canonical_path(raw_path: str, *, s3: bool) -> str:
    """S3's path is encoded once and kept; others are normalised and encoded twice."""
    if raw_path in {"/", ""} or _PLAIN_PATH.fullmatch(raw_path):
        return raw_path or "/"
    if s3:
        return "/".join(_recode_segment(segment) for segment in raw_path.split("/"))
    kept: list[str] = []
    for segment in raw_path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    path = "/" + "/".join(kept) + ("/" if kept and raw_path.endswith("/") else "")
    return quote(path, safe="/~")


def _recode_segment(raw: str) -> str:
    return quote_from_bytes(unquote_to_bytes(raw), safe="-_.~")


def canonical_query(raw_query: str, *, presigned: bool) -> str:
    """The query in its canonical spelling and order; a presigned one without its signature."""
    if not raw_query:
        return ""
    pairs = []
    plain = _PLAIN_QUERY.fullmatch(raw_query) is not None
    for pair in raw_query.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        if not plain:
            name, value = _recode(name), _recode(value)
        if not (presigned and name.lower() == "x-amz-signature"):
            pairs.append((name, value))
    pairs.sort()
    return "&".join(f"{name}={value}" for name, value in pairs)


def _recode(raw: str) -> str:
    return quote_from_bytes(unquote_to_bytes(raw.replace("+", " ")), safe="-_.~")


def as_signed(headers: Mapping[str, str], names: tuple[str, ...]) -> Mapping[str, str]:
    """Header values as the signer saw them: UTF-8, which came to us as latin-1."""
    odd = [name for name in names if not headers[name].isascii()]
    if not odd:
        return headers
    return {**headers, **{name: _utf8(headers[name]) for name in odd}}


def _utf8(text: str) -> str:
    try:
        return text.encode("latin-1").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text
