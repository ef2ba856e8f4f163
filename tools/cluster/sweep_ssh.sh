#!/bin/bash
# Run a grid over ssh, a row at a time on each machine:
#
#   python -m pipeline.sweep losses --seeds 5 --grid grid.txt
#   tools/cluster/sweep_ssh.sh grid.txt first.machine second.machine
#
# Each machine takes the next row as soon as it is free. It needs a checkout with its .venv, and a login without password.
# After Ctrl-C no row is started; those that run go on.
#
# CHECKOUT   its path on the machines, default that of this one
# PUSH       Git remote that experiments are pushed to, default origin
#
# Works with bash 3.2.
set -euo pipefail

: "${1:?a grid}" "${2:?a machine}"
grid=$1
shift
rows=$(grep -c '' "$grid")
checkout=${CHECKOUT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
taken=$(mktemp -d)
trap 'rm -rf "$taken"' EXIT

run_on() {
    local machine=$1 row code failed=0
    for ((row = 1; row <= rows; row++)); do
        mkdir "$taken/$row" 2> /dev/null || continue   # by another machine
        code=0
        ssh -o BatchMode=yes "$machine" "cd $(printf %q "$checkout") &&
            PATH=\$PWD/.venv/bin:\$PATH SHELL=/bin/bash exec python -m pipeline.row - $row --push ${PUSH:-origin}" \
            < "$grid" || code=$?
        if [ "$code" = 255 ]; then   # ssh's own
            rmdir "$taken/$row"
            echo "$machine: lost the connection in row $row; fetch the experiments and write the grid again" >&2
            return 1
        elif [ "$code" != 0 ]; then
            failed=1
        fi
    done
    return "$failed"
}

jobs=()
for machine; do
    run_on "$machine" &
    jobs+=("$!")
done
failed=0
for job in "${jobs[@]}"; do
    wait "$job" || failed=1
done
exit "$failed"
