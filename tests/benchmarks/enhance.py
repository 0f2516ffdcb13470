"""How fast enhancement is: the models against SEGAN, SEGAN+ and the Wiener filter, in one run.

    python tests/benchmarks/enhance.py [--seconds 60] [--rounds 3]

Every system enhances the same made sound on one thread, in turns; a row is the best round, as a
real-time factor (seconds of work for a second of sound) and as a ratio to SEGAN's. Weights are
drawn at random where they don't change the work.
"""

import argparse
import time

import numpy as np


def systems():
    """Return what is timed, by name: ``(wave, rate) -> wave``."""
    import segan
    from segan import paper
    from segan.baselines import wiener

    return {
        "SEGAN": segan.Enhancer(paper.Generator()),
        "SEGAN+": segan.Enhancer(paper.GeneratorPlus()),
        "Wiener": wiener,
        **{name: segan.load(name, device="cpu") for name in ("default", "quality", "streaming")},
    }


def timed(enhance, wave: np.ndarray) -> float:
    """Return the real-time factor of one call."""
    start = time.perf_counter()
    enhance(wave, 16000)
    return (time.perf_counter() - start) / (len(wave) / 16000)


def main() -> None:
    """Print the table."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    wave = 0.1 * np.random.default_rng(0).standard_normal(round(16000 * given.seconds))
    wave = wave.astype(np.float32)
    contenders = systems()
    best = dict.fromkeys(contenders, np.inf)
    for _ in range(given.rounds):
        for name, enhance in contenders.items():
            best[name] = min(best[name], timed(enhance, wave))
    for name, factor in best.items():
        print(f"{name:<8} {factor:.4f}  {factor / best['SEGAN']:.3f} of SEGAN")


if __name__ == "__main__":
    main()
