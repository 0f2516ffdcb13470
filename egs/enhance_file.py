"""Clean a recording from Python; ``segan-enhance`` does this and more.

python egs/enhance_file.py egs/speech/noisy.wav cleaned.wav
"""

import argparse


def enhance(noisy: str, output: str, model: str, keep: float) -> None:
    """Write the file ``noisy``, cleaned, to ``output``."""
    import segan
    from segan.audio import read, write

    enhancer = segan.load(model)  # once, for any number of waves
    wave, rate = read(noisy)  # float32, (channels, T)
    write(output, enhancer(wave, rate, keep=keep), rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("noisy", help="any file that libsndfile reads")
    parser.add_argument("output", help="its suffix names the format")
    parser.add_argument("--model", default="default", help="weights (.safetensors)")
    parser.add_argument("--keep", type=float, default=0.0, help="share of the original, 0 to 1")
    given = parser.parse_args()
    try:
        enhance(given.noisy, given.output, given.model, given.keep)
    except (OSError, ValueError) as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
