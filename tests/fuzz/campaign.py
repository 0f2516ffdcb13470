"""What the fuzzers share: a coverage-guided run of one target, by atheris on libFuzzer."""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import atheris

import segan  # noqa: F401, before tests/, where a folder has its name

sys.path.insert(1, str(Path(__file__).parents[1]))  # of make_odd_audio

BUCKETS = 4096
LIMITS = ("-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1")


def fuzz(
    try_one: Callable[[bytes, Path], None],
    seeds: Sequence[bytes],
    longest: int,
    mutate: Callable[[bytes, int, int], bytes] | None = None,
) -> None:
    """Try what libFuzzer makes of ``seeds`` until the time is up; end at the first finding.

    Args:
        try_one: of the bytes and of a folder to write them in; raises what it should not.
        seeds: to begin with, beside what is in the corpus already.
        longest: input, in bytes.
        mutate: of the bytes, how many they may become and a seed; libFuzzer's own way where None.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--corpus", type=Path, required=True, help="what is found is kept here")
    options = parser.parse_args()
    options.corpus.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        if len(seed) <= longest:
            (options.corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        for seed in seeds:  # what is imported late would count as slow
            try_one(seed, Path(folder))
        arguments = [
            sys.argv[0],
            str(options.corpus),
            *LIMITS,
            f"-max_len={longest}",
            f"-max_total_time={round(60 * options.minutes)}",
            f"-artifact_prefix={options.corpus.parent}/",
        ]
        how = {"custom_mutator": mutate} if mutate else {}
        atheris.Setup(arguments, lambda data: try_one(data, Path(folder)), **how)
        atheris.Fuzz()


def one_line(error: BaseException, name: str) -> None:
    """Raise AssertionError unless an error is one line that names the file."""
    text = str(error)
    assert "\n" not in text and name in text, f"not one clear line: {text!r}"


class Landmarks:
    """What a library without instrumentation tells of the way it took, as edges for libFuzzer.

    To be made before ``fuzz`` begins.
    """

    def __init__(self):
        self.counters = [atheris._reserve_counter() for _ in range(BUCKETS)]

    def pass_by(self, *texts: str) -> None:
        """Count each text as an edge that was taken."""
        for text in texts:
            atheris._trace_branch(self.counters[zlib.crc32(text.encode()) % BUCKETS])
