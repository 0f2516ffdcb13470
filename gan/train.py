"""``gan-train``: a configuration in, a trained system out."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import hydra
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString, ValueType
from hydra.errors import HydraException, InstantiationException
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from gan import checkpoint, distributed
from gan.game import Game
from gan.profiling import profile
from gan.trainer import Interrupted, Trainer, seed_all, steps_of

EXPECTED = (ValueError, OSError, ArithmeticError, HydraException, OmegaConfBaseException)


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def train(config: DictConfig) -> None:
    """Run what ``config`` says."""
    with exits():
        check_choices(config)
        if config.dry_run:
            OmegaConf.resolve(config)
            print(OmegaConf.to_yaml(config) + count(build_game(config)))
            return
        trainer = build_trainer(config)
        if distributed.rank() == 0 and not config.profile:
            keep_config(trainer.folder, config)
        try:
            profile(trainer, trainer.folder) if config.profile else trainer.run()
        except Interrupted:  # which all processes have agreed on
            distributed.stop()
            raise
        distributed.stop()


def called(name: str, *arguments):
    """Return what the function of that dotted name returns: ``${call:name,...}`` in a config."""
    try:
        value = get_method(name)(*arguments)
    except OSError as error:  # else OmegaConf takes it for one of its own
        raise ValueError(str(error)) from None
    return OmegaConf.create(value) if isinstance(value, (dict, list)) else value


OmegaConf.register_new_resolver("call", called, use_cache=True, replace=True)


def check_choices(config: DictConfig) -> None:
    """Raise a ValueError where no system or no data were chosen."""
    for group in ("game",) if config.dry_run else ("game", "data"):
        if not config.get(group):
            word = {"game": "system"}.get(group, group)
            raise ValueError(f"say {word}=NAME; gan-train --help lists the names")


def build_game(config: DictConfig) -> Game:
    """Return the game, its networks initialized by the seed or from the files in ``init``."""
    seed_all(config.trainer.seed)
    game = instantiate(config.game, _convert_="all")
    start_from(game, config.init)
    return game


def build_trainer(config: DictConfig) -> Trainer:
    """Return the trainer of the run, about to start or to go on; ``config`` is then resolved."""
    dataset = instantiate(config.data, _convert_="all")
    settle_length(config.trainer, len(dataset))
    OmegaConf.resolve(config)
    game = build_game(config)
    build = instantiate(config.trainer, _partial_=True, _convert_="all")
    return build(
        game,
        {name: instantiate(player, _convert_="all") for name, player in config.players.items()},
        dataset,
        folder=Path(config.folder),
        prepare=instantiate(config.prepare, _convert_="all"),
        validate=instantiate(config.get("validation"), _convert_="all") or None,
        exports={name: plain(config.game[name]) for name in config.get("exports", [])},
        notes={"version": package_version(), **notes(config)},
    )


def settle_length(trainer: DictConfig, items: int) -> None:
    """Put the length of a run that is told in epochs into steps, which schedules may ask for."""
    per_epoch = items / (trainer.batch_size * trainer.accumulate)
    trainer.steps = steps_of(trainer.steps, trainer.epochs, per_epoch)
    trainer.epochs = None


def notes(config: DictConfig) -> dict[str, str]:
    """Return what the configuration wants exported files to say, as JSON."""
    said = plain(config.notes)
    return {name: json.dumps(value) for name, value in said.items() if value is not None}


def plain(config: DictConfig) -> dict:
    """Return ``config`` as JSON would hold it."""
    return OmegaConf.to_container(config, resolve=True)


def start_from(network: nn.Module, files: Mapping, name: str = "") -> None:
    """Load the named networks' weights from exported files.

    Args:
        network: whose parts are named: the game, or a network of several.
        files: ``{name: path}``, or ``{name: {name of a part: path}}``; None loads nothing.
        name: of ``network`` in the configuration.

    Raises:
        ValueError: where there is no such network, or the file holds another one.
    """
    for own, path in files.items():
        part, whole = getattr(network, own, None), f"{name}.{own}".lstrip(".")
        if path is None or not any(path.values() if isinstance(path, Mapping) else [path]):
            continue
        if part is None:
            raise ValueError(f"init.{whole}: the game has no network of that name")
        if isinstance(path, Mapping):
            start_from(part, path, whole)
        else:
            fill(part, path, whole)


def fill(network: nn.Module, path: str, name: str) -> None:
    """Load a file's weights into ``network``, or into those of its parts that the file has."""
    kinds = {f"{type(m).__module__}.{type(m).__qualname__}": type(m) for m in network.modules()}
    loaded = checkpoint.load_network(path, kinds)
    held = {own for own, part in loaded.named_children()}
    try:
        missing, unexpected = network.load_state_dict(loaded.state_dict(), strict=False)
    except RuntimeError as error:
        missing, unexpected = [], [str(error).splitlines()[1].strip()]
    missing = [key for key in missing if key.partition(".")[0] in held]
    if missing or unexpected:
        raise ValueError(f"{path}: differs from the game's {name} ({[*unexpected, *missing][0]})")


def keep_config(folder: Path, config: DictConfig) -> None:
    """Write the resolved configuration and the versions into the run's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    versions = {"segan": package_version(), "torch": torch.__version__, "python": sys.version}
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(config), encoding="utf-8")
    (folder / "versions.json").write_text(json.dumps(versions, indent=2), encoding="utf-8")


def count(game) -> str:
    """Return a line for each network: its trainable parameters."""
    counts = {
        name: sum(p.numel() for p in network.parameters() if p.requires_grad)
        for name, network in game.named_children()
    }
    return "\n".join(
        f"# {name}: {number:,} parameters" for name, number in counts.items() if number
    )


def package_version() -> str:
    """Return the installed version, or ``unknown`` in a bare checkout."""
    try:
        return version("segan")
    except PackageNotFoundError:
        return "unknown"


def explain(error: BaseException) -> str:
    """Return the one line that says what went wrong, innermost cause first."""
    while isinstance(error, InstantiationException) and error.__cause__:
        error = error.__cause__
    text = str(error)
    if text.startswith("Caught "):  # by a process that reads data, with its traceback
        text = text.rpartition(f"{type(error).__name__}: ")[2]
    return " ".join(text.split()).partition(" Config search path")[0]


@contextmanager
def exits():
    """Turn what a user can mend into one line and exit code 2; a signal into 128 + its number."""
    try:
        yield
    except Interrupted as stop:
        if os.environ.get("RANK", "0") == "0":  # of several processes, one says it
            print(f"gan-train: {stop}", file=sys.stderr)
        raise SystemExit(128 + stop.number) from None
    except distributed.Lost as lost:
        print(f"gan-train: {lost}", file=sys.stderr)
        raise SystemExit(1) from None
    except EXPECTED as error:
        print(f"gan-train: {explain(error)}", file=sys.stderr)
        raise SystemExit(2) from None


def legible(word: str) -> str:
    """Return ``key=value`` with its value quoted where that is text Hydra wouldn't take as it is.

    ``data.folder=/home/josé/a,b`` becomes ``data.folder='/home/josé/a,b'``; else it stays the same.
    """
    key, _, value = word.partition("=")
    quoted = f"{key}={QuotedString(value, Quote.single).with_quotes()}"
    return quoted if value and is_text(value, parsed(word)) and parsed(quoted) else word


def is_text(value: str, override: Override | None) -> bool:
    """Return whether text is meant where Hydra reads something else, or nothing at all (None).

    A path that is there is one. So is ``/a,b/c``, which to Hydra is a sweep of two runs: who wants
    these writes ``choice(/a,b/c)``. Other lists without brackets, and what begins as a list, a dict
    or a quotation and isn't one, are left to Hydra's message.
    """
    if override is None:
        return value[0] not in "[{'\"" or os.path.exists(value)
    if override.value_type is ValueType.SIMPLE_CHOICE_SWEEP:
        return bool(re.search(r"[/\\]", value)) or os.path.exists(value)
    other = isinstance(override.value(), (str, list, dict)) and override.value() != value
    return other and os.path.exists(value)


def parsed(word: str) -> Override | None:
    """Return a word of the command line as Hydra reads it, None where it can't."""
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException:
        return None


def main() -> None:
    """Run the command."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors reach us, not Hydra's own printer
    sys.argv[1:] = ["--help" if word == "-h" else legible(word) for word in sys.argv[1:]]
    with exits():
        train()


if __name__ == "__main__":
    main()
