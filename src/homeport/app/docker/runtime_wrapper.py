"""An OCI runtime around runc for machines whose bounding set lacks CAP_SYS_RESOURCE.

There, plain runc cannot start a container that is privileged ("unable to
apply caps") or that asks for a negative oom_score_adj. The wrapper takes both
out of the container's configuration and runs runc; a configuration with
neither costs one grep.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

RUNTIME_NAME = "homeport-runc"
SYSTEM_PATH = os.pathsep.join(("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"))

_WRAPPER = """#!/bin/sh
# Written by Homeport: this machine cannot grant CAP_SYS_RESOURCE, so do not ask for it.
command='' config=./config.json before=''
for word; do
    case $before in
    --bundle | -b) config=$word/config.json ;;
    --process | -p) config=$word ;;
    esac
    case $word in
    --bundle=*) config=${{word#*=}}/config.json ;;
    --process=*) config=${{word#*=}} ;;
    create | run | exec) command=${{command:-$word}} ;;
    esac
    before=$word
done
if [ -n "$command" ] && grep -q -e CAP_SYS_RESOURCE -e '"oomScoreAdj": *-' "$config" 2>/dev/null; then
    {python} -I -S {edit} "$config" || exit 1
fi
exec {runc} "$@"
"""

_EDIT = '''"""Written by Homeport: takes what this machine cannot grant out of a container's configuration."""
import json
import sys

with open(sys.argv[1]) as file:
    config = json.load(file)
process = config.get("process", config)
if "oomScoreAdj" in process:
    process["oomScoreAdj"] = max(0, process["oomScoreAdj"])
for held in (process.get("capabilities") or {}).values():
    if "CAP_SYS_RESOURCE" in held:
        held.remove("CAP_SYS_RESOURCE")
with open(sys.argv[1], "w") as file:
    json.dump(config, file)
'''


def write_runtime_wrapper(home: Path, *, runc: str | None = None) -> Path | None:
    """Write the wrapper into `home`; its absolute path. `None`: there is no runc to wrap."""
    home = home.absolute()  # it is run in directories that are not ours
    runc = runc or shutil.which("runc", path=SYSTEM_PATH)
    if runc is None:
        return None
    # The interpreter below a virtual environment stays when the environment is made anew.
    python = getattr(sys, "_base_executable", None) or sys.executable
    edit = home / "runtime_edit.py"
    edit.write_text(_EDIT)
    wrapper = home / RUNTIME_NAME
    text = _WRAPPER.format(python=shlex.quote(python), edit=shlex.quote(str(edit)), runc=shlex.quote(runc))
    temporary = home / f".{RUNTIME_NAME}"
    temporary.write_text(text)
    temporary.chmod(0o755)
    temporary.replace(wrapper)
    return wrapper
