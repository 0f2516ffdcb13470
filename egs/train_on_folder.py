"""Train a small model on a folder of clean speech and a folder of noise, in any format.

python egs/train_on_folder.py SPEECH NOISE -o exp/mine --steps 2000   # again: goes on
segan-enhance noisy.wav --model exp/mine/run/generator.safetensors
"""

import argparse
from pathlib import Path

SMALL = {"channels": 96, "dilations": [1, 2, 4, 8, 1, 2, 4, 8]}


def prepare(folder: Path, out: Path) -> Path:
    """Return ``out``, a data directory of the sounds below ``folder``, at 16 kHz."""
    from segan.audio import SUFFIXES, read, resample, write

    out.mkdir(parents=True, exist_ok=True)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f"{folder}: no sound in it; give a folder of WAV, FLAC, MP3 ... files")
    sounds = {f"{n:06d}": (out / f"{n:06d}.wav").resolve() for n in range(len(paths))}
    for path, wav in zip(paths, sounds.values(), strict=True):
        wave, rate = read(path)
        write(wav, resample(wave.mean(0), rate, 16000), 16000)
    for name, table in {"wav.scp": sounds, "utt2spk": {k: k for k in sounds}}.items():
        (out / name).write_text("".join(f"{k} {v}\n" for k, v in table.items()), encoding="utf-8")
    return out


def train(speech: Path, noise: Path, folder: Path, steps: int) -> None:
    """Train on mixtures of two data directories; ``generator.safetensors`` is the result."""
    from torch.optim import AdamW

    from gan import trainer, translation
    from segan import data, discriminator, distances, generator

    trainer.seed_all(0)
    networks = generator.MaskGenerator(**SMALL), discriminator.SpectrumDiscriminator()
    terms = {"l1": distances.RelativeL1(), "spectrum": distances.CompressedSpectrum()}
    game = translation.Translation(*networks, distances=terms)
    weights = {"adversarial": 0.1, "spectrum": 10}
    players = {"discriminator": trainer.Player(AdamW), "generator": trainer.Player(AdamW, weights)}
    export = {"generator": {"_target_": "segan.generator.MaskGenerator", **SMALL}}
    mixtures = data.Mixtures(speech, noise, seconds=1.0)
    trainer.Trainer(game, players, mixtures, steps=steps, folder=folder, exports=export).run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("speech", type=Path)
    parser.add_argument("noise", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("exp/folder"))
    parser.add_argument("--steps", type=int, default=2000)
    given = parser.parse_args()
    try:
        folders = [prepare(getattr(given, k), given.output / k) for k in ("speech", "noise")]
        train(*folders, given.output / "run", given.steps)
    except (OSError, ValueError, ArithmeticError) as error:
        parser.exit(2, f"{error}\n")
