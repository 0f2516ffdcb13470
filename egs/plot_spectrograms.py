"""Draw the spectrograms of a noisy recording, of the enhanced one, and of the clean one.

python egs/plot_spectrograms.py egs/speech/clean.wav egs/speech/noisy.wav noisy.enhanced.wav
"""

import argparse
from pathlib import Path

RATE, HOP = 16000, 160  # every file is brought to this rate
FLOOR = -65  # dB below the loudest point of all panels


def spectrogram(path: Path):
    """Return the mel power spectrogram of a file, ``(bands, frames)``."""
    import librosa

    from segan.audio import read, resample

    wave, rate = read(path)
    wave = resample(wave.mean(0), rate, RATE)
    return librosa.feature.melspectrogram(y=wave, sr=RATE, n_fft=1024, hop_length=HOP, n_mels=160)


def draw(files: dict[str, Path], output: Path) -> None:
    """Draw one panel for each file, one above the other, in one scale of colors."""
    import librosa.display
    import matplotlib.pyplot as plt

    powers = {title: spectrogram(path) for title, path in files.items()}
    top = max(power.max() for power in powers.values())
    plt.rcParams.update({"font.size": 11})
    figure, axes = plt.subplots(len(files), sharex=True, figsize=(9, 6.6), layout="constrained")
    for axis, (title, power) in zip(axes, powers.items(), strict=True):
        level = librosa.power_to_db(power, ref=top, top_db=None)
        grid = {"sr": RATE, "hop_length": HOP, "x_axis": "s", "y_axis": "mel"}
        image = librosa.display.specshow(level, ax=axis, vmin=FLOOR, vmax=0, cmap="magma", **grid)
        axis.set_title(title, loc="left", fontweight="bold")
        axis.set(yticks=[250, 1000, 4000], yticklabels=["0.25", "1", "4"], ylabel="kHz")
        axis.label_outer()
    axes[-1].xaxis.set_major_locator(plt.MaxNLocator(10, integer=True))
    figure.colorbar(image, ax=axes, label="dB", pad=0.01, aspect=40)
    figure.savefig(output, dpi=200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("clean", "noisy", "enhanced"):
        parser.add_argument(name, type=Path, metavar=name.upper())
    parser.add_argument("-o", "--output", type=Path, default=Path("spectrograms.png"))
    given = parser.parse_args()
    files = {"Noisy": given.noisy, "Enhanced": given.enhanced, "Clean": given.clean}
    try:
        draw(files, given.output)
    except (OSError, ValueError) as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
