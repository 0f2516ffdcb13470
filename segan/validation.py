"""Scores of a generator in training, by the functions that ``segan-evaluate`` calls."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from torch import nn

from gan import distributed
from segan.enhance import Enhancer
from segan.kaldi import read_map
from segan.metrics import evaluate


class Validation:
    """Mean metrics of the generator's estimates, evenly spread utterances of a data directory.

    The processes of a run share the utterances out.

    Args:
        folder: with ``wav.scp`` (noisy) and ``spk1.scp`` (clean).
        utterances: how many to score, evenly spread over the list.
        metrics: by the names of ``segan.metrics.evaluate``.
        examples: how many estimates to write to ``samples/`` and TensorBoard.
    """

    def __init__(
        self,
        folder: str | Path,
        utterances: int = 30,
        metrics: tuple[str, ...] = ("pesq", "stoi", "si_sdr"),
        examples: int = 3,
    ):
        noisy, clean = (read_map(Path(folder) / name) for name in ("wav.scp", "spk1.scp"))
        names = sorted(noisy.keys() & clean.keys())
        if not names:
            raise ValueError(f"{folder}: wav.scp and spk1.scp share no utterance")
        spread = np.linspace(0, len(names) - 1, min(utterances, len(names))).round().astype(int)
        self.pairs = [(names[i], noisy[names[i]], clean[names[i]]) for i in spread]
        self.metrics, self.examples = tuple(metrics), examples

    def __call__(self, networks: Mapping[str, nn.Module], log=None) -> dict[str, float]:
        """Return the means; an undefined score is left out of its own mean alone."""
        network = networks["generator"]
        enhancer = Enhancer(network, device=str(next(network.parameters()).device))
        results = distributed.each(partial(self.judge, enhancer), range(len(self.pairs)))
        for (name, *_), (_, example) in zip(self.pairs, results, strict=True):
            if log and example:
                keep_sample(log, name, *example)
        return {name: finite_mean([scores[name] for scores, _ in results]) for name in self.metrics}

    def judge(self, enhancer: Enhancer, index: int) -> tuple[dict[str, float], tuple | None]:
        """Return an utterance's scores and, for an example, its estimate and rate."""
        _, noisy, clean = self.pairs[index]
        wave, rate = soundfile.read(noisy, dtype="float32")
        target, _ = soundfile.read(clean, dtype="float32")
        estimate = enhancer(wave, rate)
        scores = evaluate(target, estimate, rate, self.metrics)
        return scores, (estimate, rate) if index < self.examples else None


def finite_mean(values: list[float]) -> float:
    """Return the mean of the finite values, NaN where there are none."""
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")


def keep_sample(log, name: str, wave: np.ndarray, rate: int) -> None:
    """Write an estimate into the run's ``samples/`` and show it in TensorBoard."""
    folder = log.folder / "samples"
    folder.mkdir(exist_ok=True)
    soundfile.write(folder / f"{name}.{log.step:07d}.wav", wave, rate)
    log.audio(name, wave, rate)
