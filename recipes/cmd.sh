# Where jobs run: what stands before gan-train (train_cmd) and before the programs that enhance and
# score (score_cmd). Take one pair of lines.

# This machine.
train_cmd=
score_cmd=

# Four GPUs of this machine.
# train_cmd="torchrun --standalone --nproc-per-node=4 --no-python"
# score_cmd=

# A Slurm queue: the job waits for its turn, its output comes here. With --requeue and a run that
# resumes, a job that is cut short goes on where it was.
# train_cmd="srun --job-name=segan --gres=gpu:1 --cpus-per-task=8 --mem=32G --time=24:00:00 --requeue"
# score_cmd="srun --job-name=score --cpus-per-task=16 --mem=16G --time=1:00:00"
