#!/bin/bash
# Makes .venv with the locked requirements, unless it is there and matches them.
#
#   tools/setup.sh                 what `make` does before everything else
#   tools/setup.sh --find-python   print the Python that would be used
#
# PYTHON       the only Python to consider
# TORCH_INDEX  a package index with a CPU-only PyTorch, such as https://download.pytorch.org/whl/cpu
#
# Both are remembered: without them, an environment stays what it is. Works with bash 3.2.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly STAMP=.venv/ready   # written last, so that an environment without it is unfinished
readonly LOCK=.venv.lock     # a symbolic link to the process id that holds it
readonly SUPPORTED='64-bit CPython 3.11, 3.12 or 3.13 on Linux (x86-64 or aarch64, glibc) or on an Apple-silicon Mac'

# Prints the interpreter's own path (not a shim's, nor that of an environment around it), or why it will not do.
# Any Python from 2.7 on must understand this.
readonly PROBE='
import os, platform, sys, sysconfig

def refuse(why):
    sys.stdout.write(why)
    sys.exit(1)

name = platform.python_implementation() + " " + platform.python_version()
if not (name.startswith("CPython") and (3, 11) <= sys.version_info[:2] <= (3, 13)):
    refuse("is " + name)
if sys.maxsize < 2**32:
    refuse("is 32-bit")
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    refuse("is free-threaded, for which libraries are missing")
if platform.machine() not in (("arm64",) if sys.platform == "darwin" else ("x86_64", "aarch64")):
    refuse("is built for " + platform.machine())
if sys.platform == "linux":
    try:
        os.confstr("CS_GNU_LIBC_VERSION")
    except ValueError:
        refuse("is built for another C library than glibc")
try:
    import ensurepip, venv
except ImportError:
    refuse("cannot make environments (Debian, Ubuntu: apt install python3-venv)")
sys.stdout.write(getattr(sys, "_base_executable", None) or sys.executable)
'

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

refuse_other_platforms() {
    local found
    found="$(uname -s) $(uname -m)"
    case $found in
        'Linux x86_64' | 'Linux aarch64' | 'Darwin arm64') ;;
        *) fail "$found is not supported; needed: $SUPPORTED" ;;
    esac
}

# Prints candidates, best first, one a line: 3.11 is what CI uses and dvc.lock was made with.
# A name may occur several times on PATH, and its first occurrence may be a shim that fails.
candidates() {
    local name path
    if [ -n "${PYTHON:-}" ]; then
        type -P "$PYTHON" || echo "$PYTHON"
        return
    fi
    for name in python3.11 python3.12 python3.13 python3 python; do
        type -a -P "$name" || true
    done
    for path in "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/3.1[123]*/bin/python3; do
        if [ -x "$path" ]; then echo "$path"; fi
    done
}

# Prints the first candidate that, when run, says that it will do.
find_python() {
    local candidate answer refused=''
    while IFS= read -r candidate; do
        if answer=$("$candidate" -c "$PROBE" 2>/dev/null </dev/null); then
            echo "$answer"
            return
        fi
        refused="$refused; $candidate ${answer:-does not run}"
    done < <(candidates)
    fail "no usable Python: ${refused:+found${refused#;}; }needed: $SUPPORTED; name one with PYTHON=/path/to/python3"
}

# Prints what the finished environment at hand was made with: `made_with python`, `made_with torch`.
made_with() {
    if [ -f "$STAMP" ]; then sed -n "s|^$1: ||p; 3q" "$STAMP"; fi
}

# What a finished environment was made of. Its folder too: an environment that is moved no longer works.
stamp() {
    printf 'python: %s\ntorch: %s\nfolder: %s\n' "$1" "$2" "$PWD"
    cat requirements.txt requirements-mlhub.txt
}

# Importing pip fails when the system's Python became another version under the same name.
is_ready() { stamp "$1" "$2" 2>/dev/null | cmp -s - "$STAMP" && .venv/bin/python -c 'import pip' 2>/dev/null; }

# One set-up at a time. `ln -s` makes the lock and its content in one step, on any file system.
lock() {
    local owner error told='' tries=0
    until error=$(ln -s "$$" "$LOCK" 2>&1); do
        if [ ! -w . ]; then fail "$PWD cannot be written to; the environment goes there"; fi
        owner=$(readlink "$LOCK" || true)
        if [ -z "$owner" ] && [ ! -e "$LOCK" ]; then   # just let go of; or it cannot be made, as on a full disk
            tries=$((tries + 1))
            if [ "$tries" = 5 ]; then fail "$error"; fi
            continue
        fi
        if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
            rm -f "$LOCK"   # it was killed
            continue
        fi
        if [ -z "$told" ]; then
            told=yes
            say "waiting for process $owner, which sets up already (if it does not, remove $LOCK)"
        fi
        sleep 1
    done
    trap 'rm -f "$LOCK"' EXIT
}

warn_of_little_disk() {
    local need=7 free
    if [ "$(uname -s)" = Darwin ] || [ "$1" != locked ]; then need=2; fi
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
    if [ "$free" -lt "$need" ]; then
        say "warning: $free GB are free here; the environment takes about $need GB"
    fi
}

# Prints the entries of requirements.txt, hashes and all, whose package names match (keep) or do not match (drop)
# a pattern: `entries keep 'torch|torchvision'`.
entries() {
    awk -v mode="$1" -v pattern="^($2)\$" '
        /^[A-Za-z0-9]/ { name = $0; sub(/[^A-Za-z0-9._-].*/, "", name); wanted = (name ~ pattern) == (mode == "keep") }
        wanted
    ' requirements.txt
}

# --no-deps: the lock is complete, and a package that it lacks should be noticed.
# Without a terminal the hundreds of lines about each download would bury what matters.
pip_install() {
    local quiet=''
    if [ ! -t 2 ]; then quiet=yes; fi
    .venv/bin/python -m pip install ${quiet:+--quiet} --disable-pip-version-check --no-input --no-deps "$@" </dev/null >&2 ||
        fail "pip could not install (see above); run it again when that is put right: finished downloads are kept"
}

# From process substitutions, since pip reads files and nothing is to be left behind.
install() {
    local torch=$1 rest='nothing' requirement
    if [ "$torch" != locked ]; then
        # Not hash-checked: the wheels of another index are other files than those that were locked. The versions
        # are the locked ones. What only the CUDA build needs is left out (nvidia-ml-py is DVCLive's).
        rest='torch|torchvision|triton|cuda-.*|nvidia-(cu|nccl|nv).*'
        say "torch and torchvision come from $torch and are not hash-checked"
        while IFS= read -r requirement; do
            pip_install --index-url "$torch" "$requirement"
        done < <(entries keep 'torch|torchvision' | sed -n 's| *\\$||; /^[a-z]/p')
    fi
    # First what builds the one package that has no wheel, so that its builder is a locked one too.
    pip_install --require-hashes --requirement <(entries keep setuptools)
    pip_install --require-hashes --no-build-isolation --requirement <(entries drop "$rest")
    pip_install --require-hashes --requirement requirements-mlhub.txt
}

build() {
    local python=$1 torch=$2
    warn_of_little_disk "$torch"
    say "making .venv with $python; this takes some minutes, once"
    rm -rf .venv
    "$python" -m venv .venv || fail "$python could not make .venv in $PWD (see above)"
    install "$torch"
    stamp "$python" "$torch" > .venv/unfinished
    mv .venv/unfinished "$STAMP"
}

main() {
    local python torch
    refuse_other_platforms
    if [ "${1:-}" = --find-python ]; then
        find_python
        return
    fi
    python=$(made_with python)
    torch=${TORCH_INDEX:-$(made_with torch)}
    if [ -n "${PYTHON:-}" ] || [ ! -x "$python" ]; then python=$(find_python); fi
    if is_ready "$python" "${torch:-locked}"; then return; fi
    lock
    if is_ready "$python" "${torch:-locked}"; then return; fi   # the one that was waited for did it
    build "$python" "${torch:-locked}"
}

main "$@"
