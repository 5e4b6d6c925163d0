"""Make Docker Engine answer on this machine, for the tests: `ensure_docker.py DATA_DIR`."""

from __future__ import annotations

import sys
from pathlib import Path

from homeport.app.docker.setup import DockerSetupError, ensure_docker
from homeport.app.settings import environment
from homeport.cli.output import tell_error
from homeport.cli.progress import ProgressView


def main() -> int:
    data_dir = Path(sys.argv[1])
    data_dir.mkdir(parents=True, exist_ok=True)
    try:
        ensure_docker(data_dir=data_dir, environ=environment(), report=ProgressView(live=False))
    except DockerSetupError as error:
        tell_error(error.message, error.remedy)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
