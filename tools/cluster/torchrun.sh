#!/bin/bash
# Run DVC with training distributed over several machines, which share this checkout and its PIPELINE_CACHE.
# Start it on every machine:
#
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=first.machine tools/cluster/torchrun.sh exp run -S loss=dice
#   NNODES=2 NODE_RANK=1 MASTER_ADDR=first.machine tools/cluster/torchrun.sh
#
# Node 0 runs `dvc` with the arguments, or `dvc repro`; the others wait until it reaches the stage train, and join.
# They use the command of train in dvc.yaml and params.yaml: set `dataset` there, not with -S.
#
# MASTER_PORT      default 29500
# NPROC_PER_NODE   processes per machine, default gpu (one per GPU)
# WAIT             rendezvous timeout in seconds, default 86400
# DRY_RUN=1        only print the commands
set -euo pipefail

: "${NNODES:?number of machines}" "${NODE_RANK:?rank of this machine, from 0}" "${MASTER_ADDR:?address of node 0}"

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PATH="$PWD/.venv/bin:$PATH" SHELL=/bin/bash   # DVC runs commands with $SHELL, and zsh would not split LAUNCHER
export LAUNCHER="torchrun --nnodes=$NNODES --node-rank=$NODE_RANK --nproc-per-node=${NPROC_PER_NODE:-gpu}\
 --master-addr=$MASTER_ADDR --master-port=${MASTER_PORT:-29500} --rdzv-conf=timeout=${WAIT:-86400} --no-python"

if [ "$NODE_RANK" = 0 ]; then
    command=(dvc "${@:-repro}")
else
    command=(bash -c "$(python -c 'from dvc.repo import Repo; print(Repo().stage.load_one(name="train").cmd)')")
fi

if [ -n "${DRY_RUN:-}" ]; then
    echo "LAUNCHER=$LAUNCHER"
    printf '%q ' "${command[@]}"
    echo
    exit
fi
exec "${command[@]}"
