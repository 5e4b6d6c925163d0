"""What buckets and their keys may be called. A bucket is a folder here, so no name may lead out of it.

Sources: Amazon S3 User Guide, "General purpose bucket naming rules"; guides of the load balancers, "Access
log files": the prefix must not include AWSLogs.
"""

from __future__ import annotations

import re

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_BEGINNINGS = ("xn--", "sthree-", "amzn-s3-demo-")
_ENDINGS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_PREFIX_BYTES_MAX = 512
_PART_BYTES_MAX = 255
"""A folder's name is not longer on the file systems of Linux."""


def bucket_fault(name: str) -> str:
    """What is wrong with a bucket's name; "" if nothing is."""
    if not _BUCKET.fullmatch(name):
        return (
            "a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens, and begins and ends "
            "with a letter or digit"
        )
    if ".." in name or _ADDRESS.fullmatch(name):
        return "a bucket's name has no two dots in a row, and is no IP address"
    if name.startswith(_BEGINNINGS) or name.endswith(_ENDINGS):
        return "this beginning or ending of a bucket's name is reserved"
    return ""


def prefix_fault(prefix: str) -> str:
    """What is wrong with what keys are to begin with; "" if nothing is."""
    parts = prefix.split("/") if prefix else []
    if "" in parts:
        return "a prefix neither begins nor ends with a slash, and has no two in a row"
    if "AWSLogs" in prefix:
        return "a prefix must not include AWSLogs, which is added to it"
    if {".", ".."} & set(parts):
        return "a prefix is a path of folders here: . and .. cannot be among them"
    if not prefix.isprintable():
        return "a prefix has only characters that can be printed"
    if len(prefix.encode()) > _PREFIX_BYTES_MAX or any(
        len(part.encode()) > _PART_BYTES_MAX for part in parts
    ):
        return f"a prefix has at most {_PREFIX_BYTES_MAX} bytes, and {_PART_BYTES_MAX} between two slashes"
    return ""
