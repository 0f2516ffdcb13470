# Where jobs run: what stands before gan-train (train_cmd) and before the programs that enhance and
# score (score_cmd). Take one pair of lines. docs/distributed.md says more of each.

# This machine.
train_cmd=
score_cmd=

# Four GPUs of this machine.
# train_cmd="torchrun --standalone --nproc-per-node=4 --no-python"
# score_cmd=

# A Slurm queue: the job waits for its turn, its output comes here. Cut short, the same command goes
# on where it was.
# train_cmd="srun --job-name=segan --gpus-per-node=1 --cpus-per-task=8 --mem=32G --time=24:00:00"
# score_cmd="srun --job-name=score --cpus-per-task=16 --mem=16G --time=1:00:00"

# The same on two machines of four GPUs, by torchrun on each; run.sh itself runs once, here.
# train_cmd="srun --job-name=segan --nodes=2 --ntasks-per-node=1 --gpus-per-node=4 --cpus-per-task=32 --mem=128G --time=24:00:00 ../on_nodes.sh"
# score_cmd="srun --job-name=score --cpus-per-task=16 --mem=16G --time=1:00:00"
