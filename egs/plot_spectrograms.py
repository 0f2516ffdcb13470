"""Draw the spectrograms of a noisy recording, of the enhanced one, and of the clean one.

python egs/plot_spectrograms.py egs/speech/clean.wav egs/speech/noisy.wav noisy.enhanced.wav
"""

import argparse
from pathlib import Path

RATE = 16000  # Hz; every file is brought to it
WINDOW, HOP, BANDS = 1024, 160, 160
FLOOR = -65  # dB below the loudest point of all panels


def spectrogram(path: Path):
    """Return the mel power spectrogram of a file, ``(BANDS, frames)``."""
    import librosa

    wave, _ = librosa.load(path, sr=RATE)
    return librosa.feature.melspectrogram(
        y=wave, sr=RATE, n_fft=WINDOW, hop_length=HOP, n_mels=BANDS, fmin=50
    )


def draw(files: dict[str, Path], output: Path) -> None:
    """Draw one panel for each file, one above the other, all on the same scale of color."""
    import librosa.display
    import matplotlib.pyplot as plt

    powers = {title: spectrogram(path) for title, path in files.items()}
    top = max(power.max() for power in powers.values())
    plt.rcParams.update({"font.size": 11, "font.family": "sans-serif"})
    figure, axes = plt.subplots(
        len(files), 1, figsize=(9, 2.2 * len(files)), sharex=True, layout="constrained"
    )
    for axis, (title, power) in zip(axes, powers.items(), strict=True):
        level = librosa.power_to_db(power, ref=top, top_db=None)
        grid = {"sr": RATE, "hop_length": HOP, "fmin": 50, "x_axis": "time", "y_axis": "mel"}
        image = librosa.display.specshow(
            level, ax=axis, vmin=FLOOR, vmax=0, cmap="magma", rasterized=True, **grid
        )
        axis.set_title(title, loc="left", fontweight="bold")
        axis.set(yticks=[250, 1000, 4000], yticklabels=["0.25", "1", "4"], ylabel="kHz")
        axis.label_outer()
    axes[-1].set_xlabel("seconds")
    figure.colorbar(image, ax=axes, label="dB below the loudest", pad=0.01, aspect=40)
    figure.savefig(output, dpi=200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("clean", "noisy", "enhanced"):
        parser.add_argument(name, type=Path, metavar=name.upper())
    parser.add_argument("-o", "--output", type=Path, default=Path("spectrograms.png"))
    given = parser.parse_args()
    draw({"Noisy": given.noisy, "Enhanced": given.enhanced, "Clean": given.clean}, given.output)


if __name__ == "__main__":
    main()
