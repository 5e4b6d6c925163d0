# Sourced by bin/*: `environment_for LOCK` sets $environment to a virtual environment that holds what LOCK pins.
# POSIX sh. $root is the checkout. Everything said goes to stderr; stdout belongs to the program.

# The interpreter, the checkout and the lock that an environment was made for stand in its `complete` file, written
# last: an environment without it, or with another content, is made anew.
environment_for() {
    lock=$1
    read -r lock_hash _ <<EOT
$(sha256sum "$lock")
EOT
    lock_name=${lock##*/}
    family=$root/.homeport/venv/${lock_name%.txt}
    environment=$family-${lock_hash%"${lock_hash#????????????}"}
    environment_is_complete || make_environment
}

environment_is_complete() {
    [ -x "$environment/bin/python" ] && [ -r "$environment/complete" ] || return 1
    read -r made_for <"$environment/complete"
    [ "$made_for" = "$lock_hash $(readlink -f "$environment/bin/python") $root" ]
}

say() { printf 'homeport: %s\n' "$*" >&2; }
fail() {
    printf 'homeport: error: %s\n' "$1" >&2
    shift
    for line; do printf '  %s\n' "$line" >&2; done
    return 1
}

make_environment() {
    mkdir -p "$root/.homeport/venv" 2>/dev/null && [ -w "$root/.homeport/venv" ] || {
        fail "cannot write to $root/.homeport, where the virtual environment goes" \
            "Run this as the owner of the checkout (once is enough), or with sudo."
        return 1
    }
    # One at a time: the second waits, and finds it made.
    exec 9>"$root/.homeport/lock"
    if ! flock -n 9; then
        say "waiting for another run that makes the virtual environment"
        flock 9
    fi
    if environment_is_complete; then
        exec 9>&-
        return 0
    fi
    find_python && build_environment
    built=$?
    exec 9>&-
    return $built
}

python_is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${HOMEPORT_PYTHON:-}" ]; then
        python=$HOMEPORT_PYTHON
        python_is_new_enough "$python" && return 0
        fail "HOMEPORT_PYTHON=$python is not a Python 3.11 or newer"
        return 1
    fi
    # The system's own first: it stays when a version manager's moves away.
    for python in /usr/bin/python3 python3 python3.13 python3.12 python3.11 python3.14; do
        python=$(command -v "$python" 2>/dev/null) || continue
        python_is_new_enough "$python" && return 0
    done
    fail "no Python 3.11 or newer found" \
        "On Debian 12, Ubuntu 24.04 and newer: sudo apt-get install python3 python3-venv" \
        "Or name one yourself: HOMEPORT_PYTHON=/path/to/python3 $0"
    return 1
}

# How we may install packages: directly, through sudo that does not ask, or not at all.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}
may_install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    [ "$(id -u)" = 0 ] || sudo -n true >/dev/null 2>&1
}
apt_install() {
    say "installing with apt-get: $*"
    log=$root/.homeport/apt.log
    if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >"$log" 2>&1 9>&-; then
        as_root apt-get update >>"$log" 2>&1 9>&- &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >>"$log" 2>&1 9>&- || {
            tail -n 5 "$log" >&2
            fail "apt-get could not install $* (its whole output is in $log)"
            return 1
        }
    fi
}

build_environment() {
    packages=$(grep -c '^[a-z0-9A-Z].*==' "$lock")
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "making a virtual environment in $environment (once; $packages packages, Python $version)"
    rm -rf "$environment"
    installer=pip
    if ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
        if may_install; then
            apt_install python3-venv || return 1
        elif command -v uv >/dev/null 2>&1; then
            installer=uv
        elif "$python" -c 'import virtualenv' >/dev/null 2>&1; then
            installer=virtualenv
        else
            fail "this Python cannot make virtual environments: its venv module is packaged apart" \
                "Run: sudo apt-get install python3-venv"
            return 1
        fi
    fi
    case $installer in
    pip) "$python" -m venv "$environment" 9>&- ;;
    uv) uv venv --quiet --python "$python" "$environment" 9>&- ;;
    virtualenv) "$python" -m virtualenv --quiet --python "$python" "$environment" 9>&- ;;
    esac || {
        fail "could not make the virtual environment in $environment"
        return 1
    }
    install_packages || return 1
    printf '%s\n' "$root/src" >"$(echo "$environment"/lib/python3*/site-packages)/homeport-checkout.pth"
    printf '%s\n' "$lock_hash $(readlink -f "$environment/bin/python") $root" >"$environment/complete.new"
    mv "$environment/complete.new" "$environment/complete"
    # The environment before this one may still run a server; older ones serve nobody.
    ls -dt "$family"-????????????/ | tail -n +3 | while read -r old; do rm -rf "$old"; done
    say "the environment is ready"
}

install_packages() {
    log=$environment.log
    if [ "$installer" = uv ]; then
        set -- uv pip install --python "$environment/bin/python" --require-hashes --no-deps -r "$lock"
    else
        set -- "$environment/bin/python" -m pip install --disable-pip-version-check --no-input --no-deps \
            --require-hashes --progress-bar off -r "$lock"
    fi
    # A pipe hides the installer's exit status, so it leaves it in a file.
    { "$@" 2>&1 9>&-; echo $? >"$environment/status"; } | tee "$log" | show_progress
    if [ "$(cat "$environment/status" 2>/dev/null)" = 0 ]; then
        rm -f "$log" "$environment/status"
        return 0
    fi
    grep -i -E 'error|not match|no matching' "$log" | tail -n 5 >&2
    fail "could not install the pinned packages (the whole output is in $log)" \
        "Is the package index reachable from here? Behind a mirror, set PIP_INDEX_URL and try again."
}

show_progress() {
    if [ ! -t 2 ]; then
        cat >/dev/null
        return 0
    fi
    done_count=0
    while read -r word rest; do
        case $word in
        Collecting) done_count=$((done_count + 1)) ;;
        Installing) rest='installing' ;;
        *) continue ;;
        esac
        filled=$((done_count * 30 / packages))
        bar=$(printf '%*s' "$filled" '' | tr ' ' '#')
        printf '\r[%-30s] %d/%d %-28.28s' "$bar" "$done_count" "$packages" "${rest%%==*}" >&2
    done
    printf '\r%78s\r' '' >&2
}
