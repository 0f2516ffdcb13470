"""``gan-train``: a configuration in, a trained system out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import hydra
from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gan import checkpoint

EXPECTED = (ValueError, OSError, ArithmeticError, HydraException, OmegaConfBaseException)


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def train(config: DictConfig) -> None:
    """Run what ``config`` says."""
    from gan.trainer import seed_all

    OmegaConf.resolve(config)
    seed_all(config.trainer.seed)
    game = instantiate(config.game, _convert_="all")
    if config.dry_run:
        print(OmegaConf.to_yaml(config) + count(game))
        return
    start_from(game, config.init)
    folder = Path(config.folder)
    keep_config(folder, config)
    build = instantiate(config.trainer, _partial_=True, _convert_="all")
    trainer = build(
        game,
        {name: instantiate(player, _convert_="all") for name, player in config.players.items()},
        instantiate(config.data, _convert_="all"),
        folder=folder,
        validate=instantiate(config.get("validation"), _convert_="all") or None,
        exports={name: plain(config.game[name]) for name in config.get("exports", [])},
        notes={"version": package_version()},
    )
    trainer.run()


def plain(config: DictConfig) -> dict:
    """Return ``config`` as JSON would hold it."""
    return OmegaConf.to_container(config, resolve=True)


def start_from(game, files: Mapping[str, str]) -> None:
    """Load the named networks' weights from exported files.

    Raises:
        ValueError: where the game has no such network, or the file holds another one.
    """
    for name, path in files.items():
        network = getattr(game, name, None)
        if network is None:
            raise ValueError(f"init.{name}: the game has no network of that name")
        kinds = {f"{type(network).__module__}.{type(network).__qualname__}": type(network)}
        loaded = checkpoint.load_network(path, kinds)
        try:
            network.load_state_dict(loaded.state_dict())
        except RuntimeError as error:
            reason = str(error).splitlines()[1].strip()
            raise ValueError(f"{path}: differs from the game's {name} ({reason})") from None


def keep_config(folder: Path, config: DictConfig) -> None:
    """Write the resolved configuration and the versions into the run's folder."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    versions = {"segan": package_version(), "torch": torch.__version__, "python": sys.version}
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(config), encoding="utf-8")
    (folder / "versions.json").write_text(json.dumps(versions, indent=2), encoding="utf-8")


def count(game) -> str:
    """Return a line for each network: its trainable parameters."""
    lines = [
        f"# {name}: {sum(p.numel() for p in network.parameters() if p.requires_grad):,} parameters"
        for name, network in game.named_children()
    ]
    return "\n".join(lines)


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
    return " ".join(str(error).split())


def main() -> None:
    """Run the command: exit code 2 on bad input, 130 on Ctrl-C, 143 on SIGTERM."""
    from gan.trainer import Interrupted

    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors reach us, not Hydra's own printer
    sys.argv[1:] = ["--help" if word == "-h" else word for word in sys.argv[1:]]
    try:
        train()
    except Interrupted as stop:
        print(f"gan-train: {stop}", file=sys.stderr)
        raise SystemExit(128 + stop.number) from None
    except EXPECTED as error:
        print(f"gan-train: {explain(error)}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
