"""Every configuration of the golden cases is one to the real proxy."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from homeport.app.balancers.envoy_process import envoy_path
from tests.kit.certificates import self_signed
from tests.kit.golden import CASES, read, snapshot, static

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.stem))
def test_the_proxy_takes_it(case: Path, tmp_path: Path) -> None:
    found = snapshot(case)
    secrets = {}
    for material in read(case)[1]:
        real = self_signed(material.id, "example.com")
        secrets[material.id] = {
            "certificate_chain": {"inline_string": real.chain.decode()},
            "private_key": {"inline_string": real.private_key.decode()},
        }
    config = tmp_path / "envoy.json"
    text = json.dumps(static(found, secrets)).replace("/run/homeport/health", str(tmp_path / "health"))
    text = re.sub(r'"path": "/run/homeport/access-logs/[^"]*"', '"path": "/dev/null"', text)
    config.write_text(text)
    asked = subprocess.run(
        [str(envoy_path()), "--mode", "validate", "--config-path", str(config), "--disable-hot-restart"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr[-1500:]
