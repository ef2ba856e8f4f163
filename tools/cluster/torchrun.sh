#!/bin/bash
# Runs DVC with a training that goes on over several machines, which share this checkout and its PIPELINE_CACHE.
# Start it on each of them:
#
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=first.machine tools/cluster/torchrun.sh exp run -S loss=dice
#   NNODES=2 NODE_RANK=1 MASTER_ADDR=first.machine tools/cluster/torchrun.sh
#
# The machine with NODE_RANK 0 runs `dvc` with the arguments, or `dvc repro`; when that comes to the stage train, the
# others, which wait for it, join in. They start what dvc.yaml and params.yaml say of train: set `dataset` there.
#
# MASTER_PORT      29500 unless set
# NPROC_PER_NODE   processes a machine: gpu (one for each GPU) unless set
# WAIT             seconds in which the machines have to meet: 86400 unless set
# DRY_RUN=1        only says what it would do
set -euo pipefail

: "${NNODES:?how many machines there are}" "${NODE_RANK:?which one this is, from 0}" "${MASTER_ADDR:?of NODE_RANK 0}"

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PATH="$PWD/.venv/bin:$PATH" SHELL=/bin/bash   # DVC runs commands by SHELL, and zsh would not split LAUNCHER
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
