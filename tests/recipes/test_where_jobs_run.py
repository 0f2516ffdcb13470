"""What cmd.sh, on_nodes.sh and the pages on several GPUs say is what torchrun understands."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

RECIPES = Path(__file__).parents[2] / "recipes"
PAGES = ("README.md", "docs/distributed.md", "docs/pictures.md")
PROGRAM = ["gan-train", "name=one two"]

SAY = '#!/usr/bin/env bash\nprintf "%s\\n" "${0##*/}" "$@"\n'
STAND_INS = {
    "torchrun": SAY,
    "gan-train": SAY,
    "scontrol": '#!/usr/bin/env bash\n[ "$3" = "node[4-5]" ] && printf "node4\\nnode5\\n"\n',
    "srun": '#!/usr/bin/env bash\nwhile [[ $1 = --* ]]; do shift; done\n"$@"\n',
}


@pytest.fixture
def cluster(tmp_path):
    """Return an environment as in a Slurm job of two machines, whose programs say their words."""
    for name, text in STAND_INS.items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="\n")
        (tmp_path / name).chmod(0o755)
    job = {"SLURM_NNODES": "2", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node[4-5]"}
    return {**os.environ, **job, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}


def said(command, environment):
    """Return the words of the program that a shell's command ends in, started in a recipe."""
    done = subprocess.run(
        ["bash", "-c", f'{command} "$@"', "bash", *PROGRAM],
        cwd=RECIPES / "voicebank",
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def understood(words):
    """Return the options that torchrun takes from ``words``."""
    assert words[0] == "torchrun"
    return get_args_parser().parse_args(words[1:])


def test_on_nodes_starts_torchrun_on_every_machine(cluster):
    options = understood(said("../on_nodes.sh", cluster))
    assert (options.nnodes, options.nproc_per_node) == ("2", "gpu")
    assert (options.rdzv_backend, options.rdzv_endpoint) == ("c10d", "node4:29500")
    assert options.rdzv_id == "7" and options.no_python
    assert [options.training_script, *options.training_script_args] == PROGRAM


def test_every_choice_in_cmd_sh_ends_in_the_program(cluster):
    text = (RECIPES / "cmd.sh").read_text(encoding="utf-8")
    choices = re.findall(r"^(?:# )?train_cmd=(.*)$", text, re.MULTILINE)
    assert len(choices) == 4
    for choice in choices:
        words = said(f"train_cmd={choice}; $train_cmd", cluster)
        if words[0] == "torchrun":
            options = understood(words)
            words = [options.training_script, *options.training_script_args]
        assert words == PROGRAM


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_call_torchrun_as_it_wants_to_be(page):
    text = (RECIPES.parent / page).read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"torchrun --[^`\n]*", text):
        options = understood(shlex.split(line, comments=True))
        assert options.training_script in ("gan-train", "gan.train")
