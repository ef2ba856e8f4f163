#!/bin/bash
# Creates .venv with the locked requirements, unless it exists and matches them.
#
#   tools/setup.sh                 what `make` does before everything else
#   tools/setup.sh --find-python   print the Python that would be used
#
# PYTHON       the only Python to consider
# TORCH_INDEX  a package index with a CPU-only PyTorch, such as https://download.pytorch.org/whl/cpu
#
# Both are remembered until .venv is removed. Works with bash 3.2.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly STAMP=.venv/ready   # written last: an environment without it is unfinished
readonly LOCK=.venv.lock     # a symbolic link to the process id that holds it
readonly SUPPORTED='64-bit CPython 3.11, 3.12 or 3.13 on Linux (x86-64 or aarch64, glibc) or on an Apple-silicon Mac'

# Prints a description of a Python, then its own path, not that of a shim or a virtual environment. Runs on Python 2.7 too.
readonly PROBE='
import platform, struct, sys, sysconfig
found = [platform.python_implementation(), platform.python_version(), "%d-bit" % (8 * struct.calcsize("P"))]
found += [platform.system(), platform.machine(), platform.libc_ver()[0]]
found += ["free-threaded"] if sysconfig.get_config_var("Py_GIL_DISABLED") else []
try:
    import ensurepip, venv
except ImportError:
    found += ["without venv (Debian, Ubuntu: apt install python3-venv)"]
print(" ".join(filter(None, found)))
print(getattr(sys, "_base_executable", None) or sys.executable)
'
readonly USABLE='^CPython 3\.1[123]\.[^ ]* 64-bit (Linux (x86_64|aarch64) glibc|Darwin arm64)$'

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

# Prints candidates, best first: CI uses 3.11. Every match on PATH, since the first may be a pyenv shim that fails.
candidates() {
    local name
    if [ -n "${PYTHON:-}" ]; then type -P "$PYTHON" || echo "$PYTHON"; return; fi
    for name in python3.11 python3.12 python3.13 python3 python; do type -a -P "$name" || true; done
    ls -d "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/3.1[123]*/bin/python3 2>/dev/null || true
}

find_python() {
    local candidate found refused=''
    while IFS= read -r candidate; do
        found=$("$candidate" -c "$PROBE" 2>/dev/null </dev/null) || found='does not run'
        if [[ ${found%%$'\n'*} =~ $USABLE ]]; then echo "${found#*$'\n'}"; return; fi
        refused="$refused; $candidate: ${found%%$'\n'*}"
    done < <(candidates)
    fail "no usable Python: ${refused:+found${refused#;}; }needed: $SUPPORTED; name one with PYTHON=/path/to/python3"
}

# Contents of a finished environment, and its folder: an environment that is moved no longer works.
stamp() {
    printf 'python: %s\ntorch: %s\nfolder: %s\n' "$1" "$2" "$PWD"
    cat requirements.txt requirements-mlhub.txt
}

remembered() { if [ -f "$STAMP" ]; then sed -n "s|^$1: ||p; 3q" "$STAMP"; fi; }

# Importing pip fails when the system's Python became another version under the same name.
is_ready() { stamp "$1" "$2" 2>/dev/null | cmp -s - "$STAMP" && .venv/bin/python -c 'import pip' 2>/dev/null; }

# One set-up at a time: `ln -s` creates the lock and its content in one step, on any file system.
lock() {
    local error owner last=''
    until error=$(LC_ALL=C ln -s "$$" "$LOCK" 2>&1); do
        case $error in *'File exists'*) ;; *) fail "cannot lock $PWD, where .venv goes: $error" ;; esac
        owner=$(readlink "$LOCK") || {
            if [ -e "$LOCK" ]; then fail "$LOCK is not a lock of this script; remove it"; fi
            continue   # released since
        }
        if ! kill -0 "$owner" 2>/dev/null; then rm -f "$LOCK"; continue; fi
        if [ "$owner" != "$last" ]; then say "waiting for process $owner (if that is not a set-up, remove $LOCK)"; fi
        last=$owner
        sleep 1
    done
    trap 'rm -f "$LOCK"' EXIT
    trap 'exit 130' INT TERM   # or pip would be tried when uv is interrupted
}

# Configures uv as pip is configured. What is not covered makes uv fail, and pip is tried next.
configure_uv() {
    local bundle=${REQUESTS_CA_BUNDLE:-${CURL_CA_BUNDLE:-}} settings section pair value cache
    export UV_INDEX_STRATEGY=unsafe-best-match UV_SYSTEM_CERTS=1
    if [ -n "$bundle" ]; then export SSL_CERT_FILE=$bundle; fi
    settings=$(.venv/bin/python -m pip config list)
    for section in global install :env:; do   # the last one wins
        for pair in index-url=UV_INDEX_URL extra-index-url=UV_EXTRA_INDEX_URL find-links=UV_FIND_LINKS \
            no-index=SETUP_NO_INDEX trusted-host=UV_INSECURE_HOST cert=SSL_CERT_FILE proxy=ALL_PROXY; do
            value=$(sed -n "s/^$section\.${pair%=*}='\(.*\)'\$/\1/p" <<< "$settings")
            read -r value <<< "${value//\\n/ }"
            if [ "${pair%=*}" = find-links ]; then value=${value// /,}; fi
            if [ -n "$value" ]; then export "${pair#*=}=$value"; fi
        done
    done
    # uv leaves compiling to the first import, which does not keep the result where this is set.
    if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then export UV_COMPILE_BYTECODE=1; fi
    # Hard links need the cache on the same file system; elsewhere uv copies, with a warning unless asked to.
    cache=$(.venv/bin/python -m uv cache dir)
    mkdir -p "$cache"
    ln .venv/pyvenv.cfg "$cache/$$" 2>/dev/null || export UV_LINK_MODE=copy
    rm -f "$cache/$$"
}

# Prints the entries of requirements.txt, hashes included, whose names match a pattern (1) or do not (0).
entries() { awk -F == -v keep="$1" -v names="^($2)\$" '/^[^ ]/ { found = $1 ~ names } found == keep' requirements.txt; }

# Installs with the given command: uv and pip take the same options. --no-deps: the lock is complete.
install() {
    local torch=$1 cuda=nothing
    shift
    set -- "$@" install --no-deps ${SETUP_NO_INDEX:+--no-index}
    if [ ! -t 2 ]; then set -- "$@" --quiet; fi   # hundreds of lines of progress
    if [ "$torch" != locked ]; then
        # No hashes: another index has other files. Nor what only CUDA needs (nvidia-ml-py is DVCLive's).
        cuda='torch|torchvision|triton|cuda-.*|nvidia-(cu|nccl|nv).*'
        UV_DEFAULT_INDEX=$torch "$@" --index-url "$torch" \
            -r <(entries 1 'torch|torchvision' | sed '/--hash/d; s/ *\\$//') || return
    fi
    # One package has no wheel: setuptools first, so that the locked one builds it.
    "$@" --require-hashes -r <(entries 1 setuptools) &&
        "$@" --require-hashes --no-build-isolation -r <(entries 0 "$cuda") -r requirements-mlhub.txt
}

warn_of_little_disk() {
    local need=7 free   # with CUDA
    if [ "$(uname -s)" = Darwin ] || [ "$1" != locked ]; then need=2; fi
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
    if [ "$free" -lt "$need" ]; then say "warning: $free GB free in $PWD; .venv takes about $need GB"; fi
}

create_venv() {
    rm -rf .venv
    "$1" -m venv .venv || fail "$1 could not create .venv in $PWD (see above)"
}

install_with_uv() (   # a subshell: pip keeps its own configuration
    .venv/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements-uv.txt &&
        configure_uv && install "$1" .venv/bin/python -m uv pip
)

build() {
    local python=$1 torch=$2
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
    say "creating .venv with $python; the first time, this downloads some GB"
    if [ "$torch" != locked ]; then say "torch and torchvision come from $torch and are not hash-checked"; fi
    warn_of_little_disk "$torch"
    create_venv "$python"
    if ! install_with_uv "$torch"; then
        say 'uv could not install (see above); trying pip, which takes longer'
        create_venv "$python"
        install "$torch" .venv/bin/python -m pip ||
            fail 'pip could not install (see above); fix that and run it again: finished downloads are kept'
    fi
    stamp "$python" "$torch" > .venv/unfinished
    mv .venv/unfinished "$STAMP"
}

main() {
    local python torch
    if [ "${1:-}" = --find-python ]; then find_python; return; fi
    python=$(remembered python)
    torch=${TORCH_INDEX:-$(remembered torch)}
    torch=${torch:-locked}
    if [ -n "${PYTHON:-}" ] || [ ! -x "$python" ]; then python=$(find_python); fi
    if is_ready "$python" "$torch"; then return; fi
    lock
    if is_ready "$python" "$torch"; then return; fi   # another set-up made it meanwhile
    build "$python" "$torch" </dev/null >&2
}

main "$@"
