"""A read-only OCI registry of one image on loopback, with a login if wanted."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from homeport.core.ids import SystemIds
from tests.kit.docker import busybox_layer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Where the image is: `127.0.0.1:port/thing:1`. Docker takes loopback registries without TLS."""

    image: str
    digest: str
    server: str


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@asynccontextmanager
async def registry(*, login: tuple[str, str] | None = None) -> AsyncIterator[Published]:
    """Serve the test image until the end."""
    tar = busybox_layer(SystemIds().token(8))
    layer = gzip.compress(tar, compresslevel=1, mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin", "PULLED=yes"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(tar)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": len(config),
                "digest": _digest(config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                    "size": len(layer),
                    "digest": _digest(layer),
                }
            ],
        }
    ).encode()
    blobs = {_digest(config): config, _digest(layer): layer}

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if login is not None:
            proof = base64.b64encode(":".join(login).encode()).decode()
            if request.headers.get("Authorization") != f"Basic {proof}":
                headers = {"WWW-Authenticate": 'Basic realm="test"'}
                errors = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
                return web.json_response(errors, status=401, headers=headers)
        if request.path == "/v2/":
            return web.json_response({})
        if request.path in {"/v2/thing/manifests/1", f"/v2/thing/manifests/{_digest(manifest)}"}:
            headers = {"Docker-Content-Digest": _digest(manifest), "Content-Type": MANIFEST}
            return web.Response(body=manifest, headers=headers)
        if (blob := blobs.get(request.path.rpartition("/")[2])) is not None:
            return web.Response(body=blob, content_type="application/octet-stream")
        return web.json_response(
            {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}, status=404
        )

    runner = web.ServerRunner(web.Server(answer, access_log=None), handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server = f"127.0.0.1:{runner.addresses[0][1]}"
        yield Published(image=f"{server}/thing:1", digest=_digest(manifest), server=server)
    finally:
        await runner.cleanup()
