"""A recipe on a miniature of its corpus: run it, kill it, read what it left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


class Recipe:
    """A run.sh with tiny networks, in a folder of its own."""

    def __init__(self, script: Path, corpus: Path, folder: Path, words: Sequence[str]):
        self.folder = folder
        self.command = ["bash", str(script), "--corpus", str(corpus)]
        self.command += ["--data", str(folder / "data"), "--exp", str(folder / "exp")]
        self.command += ["--tiny", "true", "--validate", "0", "--stage", "1", *words]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}

    def run(self, *words):
        """Return what a run gives."""
        return subprocess.run(
            [*self.command, *words], env=self.environment, capture_output=True, text=True
        )

    def began_before_data(self, name: str):
        """Make it look as if a training had begun before the data were written."""
        for number, path in enumerate([f"exp/{name}/config.yaml", "data/.done"]):
            (self.folder / path).parent.mkdir(parents=True)
            (self.folder / path).touch()
            os.utime(self.folder / path, (number, number))

    def kill(self, sign: str, after: float):
        """Start a run, and kill everything in it ``after`` seconds from when it says ``sign``."""
        process = subprocess.Popen(
            self.command,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith(sign) and "done before" not in line:
                time.sleep(after)
                break
        else:
            end = f"ended with {process.wait()}, never said {sign!r}"
            raise AssertionError(f"{end}:\n{''.join(said)}")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def results(self):
        """Return the scores of each system, and the tables of each report."""
        exp = self.folder / "exp"
        scores = sorted(exp.glob("*/scores/scores.tsv"))
        tables = {}
        for path in sorted(exp.rglob("RESULTS.md")):
            lines = path.read_text(encoding="utf-8").splitlines()
            tables[path.relative_to(exp)] = [line for line in lines if line.startswith("|")]
        return {path.parts[-3]: path.read_text(encoding="utf-8") for path in scores}, tables
