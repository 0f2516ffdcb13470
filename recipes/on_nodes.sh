#!/usr/bin/env bash
# torchrun on every machine of a Slurm job, with a process for each of its GPUs: stands between srun,
# which starts one task a machine, and the program.
#
#   srun --nodes=2 --ntasks-per-node=1 --gpus-per-node=4 recipes/on_nodes.sh gan-train system=segan ...
#
# The processes meet on the first machine, at the port RDZV_PORT. PROCESSES=2 starts so many on each
# machine, also where there are no GPUs.
set -euo pipefail
read -r first < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
exec torchrun --nnodes="$SLURM_NNODES" --nproc-per-node="${PROCESSES:-gpu}" \
  --rdzv-backend=c10d --rdzv-id="$SLURM_JOB_ID" --rdzv-endpoint="$first:${RDZV_PORT:-29500}" \
  --no-python "$@"
