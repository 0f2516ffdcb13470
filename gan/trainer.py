"""The trainer of every game: players take their turns, losses are weighed, runs resume.

It knows nothing of the task, and is never subclassed: what is new is a game, an objective, a
distance or a schedule.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from gan import checkpoint, distributed, signals
from gan.averages import moving_average
from gan.feed import feed
from gan.game import Batch, Game, Losses, Turn
from gan.log import Log
from gan.penalties import clip_weights_

RANK_SEEDS = 1_000_003  # between the seeds of the processes of a run
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class NonFinite(ArithmeticError):
    """A loss or a weight is NaN or infinite."""


class Interrupted(Exception):
    """A signal stopped the run, after a checkpoint; ``number`` is the signal's."""

    def __init__(self, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name}; run again to go on")
        self.number = number


@dataclass
class Player:
    """How one turn is optimized.

    Attributes:
        optimizer: ``(parameters) -> torch.optim.Optimizer``.
        weights: of its losses by name, 1 where nothing is said; a number or a function of the step.
        schedule: factor of the learning rate, a function of the step.
        every: the turn is taken in every so many steps.
        when: ``(losses as floats) -> bool``; False rests for this step. It is asked after the
            losses are computed: asked before, a resting discriminator would rest for ever.
        clip: largest norm of the gradient.
        weight_limit: every weight is clamped to +- this after an update (WGAN).
    """

    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    weights: Mapping[str, float | Callable[[int], float]] = field(default_factory=dict)
    schedule: Callable[[int], float] | None = None
    every: int = 1
    when: Callable[[dict[str, float]], bool] | None = None
    clip: float | None = None
    weight_limit: float | None = None

    def total(self, losses: Losses, step: int) -> Tensor:
        """Return the weighted sum of ``losses``."""
        if unknown := self.weights.keys() - losses.keys():
            raise ValueError(
                f"weights for {sorted(unknown)}, but the losses are named {sorted(losses)}"
            )
        weights = {name: self.weights.get(name, 1.0) for name in losses}
        return sum(
            (weight(step) if callable(weight) else weight) * losses[name]
            for name, weight in weights.items()
        )


class Trainer:
    """The loop: batches, turns, averages, reports, validation, checkpoints.

    ``Trainer(game, players, dataset, steps=1000).run()`` is all there is to a run; where ``folder``
    holds ``last.pt``, it goes on from there, on a CPU bit for bit as if it had never stopped.
    Started by torchrun, its processes share every batch and give the update of the whole; batch
    statistics stay each process's own.

    Args:
        game: the networks and their turns.
        players: by the names of the game's turns.
        dataset: of dicts of tensors or arrays; see ``gan.feed.Draw`` for randomness.
        steps: length of the run, in steps;
        epochs: or in goes through the data set; one of the two is needed.
        folder: of the run: ``last.pt``, ``best.pt``, ``log.jsonl``, ``<network>.safetensors``.
            None keeps nothing.
        batch_size: items of a step, over all processes.
        accumulate: batches whose gradients are added up for one update.
        workers: processes that load data.
        seed: of everything.
        device: ``auto`` takes CUDA where there is one.
        precision: fp32, bf16 or fp16 (autocast; weights stay float32).
        averages: ``{network: decay}``, exponential moving averages for validation and export; see
            ``gan.averages``.
        compile: names of the networks to compile.
        validate: ``(networks, log) -> scores``, networks by name, averaged where averaged.
        best: ``(name of a score, "max" or "min")`` that ``best.pt`` goes by.
        exports: ``{network: its configuration}``, what is exported as safetensors, and how.
        every: steps between reports, validations and checkpoints; 0 is never (save: at the end).
        notes: strings for the exported header.
        bar: see ``gan.log.Log``.
    """

    def __init__(
        self,
        game: Game,
        players: Mapping[str, Player],
        dataset,
        *,
        steps: int | None = None,
        epochs: float | None = None,
        folder: str | Path | None = None,
        batch_size: int = 16,
        accumulate: int = 1,
        workers: int = 0,
        seed: int = 0,
        device: str = "auto",
        precision: str = "fp32",
        averages: Mapping[str, float] | None = None,
        compile: Iterable[str] = (),
        validate: Callable[[Mapping[str, nn.Module], Log | None], dict[str, float]] | None = None,
        best: tuple[str, str] | None = None,
        exports: Mapping[str, Mapping] | None = None,
        every: Mapping[str, int] | None = None,
        notes: Mapping[str, str] | None = None,
        bar: bool | None = None,
    ):
        self.device = pick_device(device)
        distributed.start(self.device)
        distributed.share(game.to(self.device))
        self.game, self.players, self.dataset = game, dict(players), dataset
        self.batch_size, self.accumulate = batch_size, accumulate
        self.steps = steps_of(steps, epochs, len(dataset) / (batch_size * accumulate))
        self.workers, self.seed, self.bar = workers, seed, bar
        self.folder = Path(folder) if folder is not None else None
        self.autocast_type = lookup("precision", precision, PRECISIONS)
        self.validate, self.best, self.exports = validate, best, dict(exports or {})
        self.every = {"report": 50, "validate": 0, "save": 1000, **(every or {})}
        self.notes = dict(notes or {})
        self.step_number, self.best_score, self.seconds = 0, None, 0.0
        self.pending: list[tuple[int, str, Losses]] = []
        self.log: Log | None = None
        self.prepare(averages or {})
        for name in compile:
            getattr(self.game, name).compile()

    def prepare(self, averages: Mapping[str, float]) -> None:
        """Build the optimizers, gradient scalers and averages."""
        turns = self.game.turns()
        if turns.keys() != self.players.keys():
            raise ValueError(
                f"the game's players are {sorted(turns)}, configured are {sorted(self.players)}"
            )
        self.parameters = {name: trained_by(turn) for name, turn in turns.items()}
        self.optimizers = {n: p.optimizer(self.parameters[n]) for n, p in self.players.items()}
        self.rates = {n: [g["lr"] for g in o.param_groups] for n, o in self.optimizers.items()}
        scale = self.autocast_type is torch.float16
        self.scalers = {
            name: torch.amp.GradScaler(self.device.type, enabled=scale) for name in self.players
        }
        self.averages = {
            name: AveragedModel(
                getattr(self.game, name),
                multi_avg_fn=moving_average(decay),
                use_buffers=False,
            )
            for name, decay in averages.items()
        }

    # -- one step ----------------------------------------------------------------------------

    def step(self, batches: list[Batch]) -> None:
        """Let every player whose turn is due take it, on the same batches."""
        shared = self.play(batches[0]) if len(batches) == 1 else None
        turns = self.game.turns()
        due = [name for name in turns if self.step_number % self.players[name].every == 0]
        for name in due:
            self.take(name, turns[name], batches, shared, keep=name != due[-1])
        for name, average in self.averages.items():
            average.update_parameters(getattr(self.game, name))
        self.step_number += 1

    def take(self, name: str, turn: Turn, batches: list[Batch], shared: Batch | None, keep: bool):
        """Take one player's turn: its losses, their gradient in its weights alone, an update."""
        player, optimizer = self.players[name], self.optimizers[name]
        scaler, parameters = self.scalers[name], self.parameters[name]
        optimizer.zero_grad(set_to_none=True)
        for batch in batches:
            play = shared if shared is not None else self.play(batch)
            with self.autocast():
                losses = turn.losses(batch, play)
                total = player.total(losses, self.step_number) / len(batches)
            scaler.scale(total).backward(inputs=parameters, retain_graph=keep)
            self.pending.append(
                (self.step_number, name, {k: v.detach() for k, v in losses.items()})
            )
        if player.when and not player.when(
            distributed.mean({k: v.item() for k, v in losses.items()})
        ):
            return
        self.update(player, optimizer, scaler, name)

    def update(self, player: Player, optimizer, scaler, name: str) -> None:
        """Apply the gradients."""
        factor = player.schedule(self.step_number) if player.schedule else 1.0
        for group, rate in zip(optimizer.param_groups, self.rates[name], strict=True):
            group["lr"] = rate * factor
        distributed.average_gradients(self.parameters[name])
        if player.clip is not None:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(self.parameters[name], player.clip)
        scaler.step(optimizer)
        scaler.update()
        if player.weight_limit is not None:
            for module in self.game.turns()[name].trains:
                clip_weights_(module, player.weight_limit)

    def play(self, batch: Batch) -> Batch:
        """Return what the turns share."""
        with self.autocast():
            return self.game.play(batch)

    def autocast(self):
        """Return the context that computes in the chosen precision."""
        chosen = self.autocast_type
        return torch.autocast(self.device.type, dtype=chosen, enabled=chosen is not None)

    # -- the run -----------------------------------------------------------------------------

    def run(self) -> dict[str, float]:
        """Train to the last step and return the last scores.

        Raises:
            NonFinite: where a loss or weight is; the last checkpoint stays as it was.
            Interrupted: on Ctrl-C or SIGTERM, after a checkpoint.
        """
        seed_all(self.seed + RANK_SEEDS * distributed.rank())
        self.resume()
        scores: dict[str, float] = {}
        if self.folder and distributed.rank() == 0:
            self.log = Log(self.folder, self.steps, self.step_number, self.bar)
        started = time.monotonic() - self.seconds
        try:
            with signals.noted() as stopped, closing(self.batches()) as batches:
                while self.step_number < self.steps:
                    self.step([next(batches) for _ in range(self.accumulate)])
                    self.seconds = time.monotonic() - started
                    scores = self.after_step(scores)
                    if number := max(distributed.gather(stopped[0] if stopped else 0)):
                        self.save()
                        raise Interrupted(number)
        finally:
            if self.log:
                self.log.close()
        return scores

    def after_step(self, scores: dict[str, float]) -> dict[str, float]:
        """Report, validate and save where it is time; return the latest scores."""
        if self.log:
            self.log.advance(self.step_number)
        if self.due("report"):
            self.report()
        if self.validate and self.due("validate"):
            scores = self.score()
        if self.due("save"):
            self.save()
        return scores

    def due(self, what: str) -> bool:
        """Return whether it is time for ``what``: every so many steps, and after the last."""
        period = self.every[what]
        return self.step_number == self.steps or bool(period and self.step_number % period == 0)

    def batches(self):
        """Yield batches on the device, from the present step on."""
        start = self.step_number * self.accumulate
        share = distributed.rank(), distributed.world()
        batches = feed(self.dataset, self.batch_size, self.seed, start, self.workers, *share)
        with closing(batches):
            for batch in batches:
                yield {k: v.to(self.device, non_blocking=True) for k, v in batch.items()}

    def report(self) -> None:
        """Log the mean losses since the last report, once they are known to be finite."""
        sums: dict[str, list[float]] = {}
        for step, player, losses in self.pending:
            for name, loss in losses.items():
                value = float(loss)
                if not np.isfinite(value):
                    raise NonFinite(
                        f"loss {name!r} of the {player} is {value} at step {step}; "
                        f"the last good checkpoint is kept: lower its learning rate or clip "
                        f"its gradient, and run again"
                    )
                sums.setdefault(f"{player}/{name}", []).append(value)
        self.pending.clear()
        means = distributed.mean({name: float(np.mean(values)) for name, values in sums.items()})
        if self.log and means:
            self.log.scalars({**means, "seconds": self.seconds})

    def score(self) -> dict[str, float]:
        """Validate; keep the best. Randomness goes on afterwards as if nothing had been."""
        state = checkpoint.random_state()
        networks = self.networks()
        training = {name: network.training for name, network in networks.items()}
        for network in networks.values():
            network.eval()
        with torch.no_grad():
            own = self.validate(networks, self.log) if distributed.rank() == 0 else None
        scores = distributed.gather(own)[0]
        for name, network in networks.items():
            network.train(training[name])
        checkpoint.set_random_state(state)
        if self.log:
            self.log.scalars(scores, "validation")
        self.keep_best(scores)
        return scores

    def networks(self) -> dict[str, nn.Module]:
        """Return the game's networks by name, averaged ones in place of their originals."""
        averaged = {name: average.module for name, average in self.averages.items()}
        return {**dict(self.game.named_children()), **averaged}

    # -- checkpoints -------------------------------------------------------------------------

    def keep_best(self, scores: Mapping[str, float]) -> None:
        """Write ``best.pt`` and the exports where the chosen score has never been as good."""
        if not self.best or not self.folder:
            return
        name, order = self.best
        score = scores[name] * lookup("order of best", order, {"max": 1, "min": -1})
        if self.best_score is None or score > self.best_score:
            self.best_score = score
            self.write("best")

    def save(self) -> None:
        """Write ``last.pt``, and the exports unless a best one is kept."""
        self.report()
        if self.folder:
            self.write("last")

    def write(self, name: str) -> None:
        """Write one checkpoint; refuse to where a weight is no longer finite."""
        for key, tensor in self.game.state_dict().items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise NonFinite(
                    f"weight {key!r} is no longer finite at step {self.step_number}; "
                    "the last good checkpoint is kept"
                )
        state = self.state_dict()
        if distributed.rank() > 0:
            return
        checkpoint.save(self.folder / f"{name}.pt", state)
        if name == "best" or not self.best:
            for network, config in self.exports.items():
                path = self.folder / f"{network}.safetensors"
                notes = {"step": str(self.step_number), **self.notes}
                checkpoint.export(path, self.networks()[network], config, **notes)

    def resume(self) -> bool:
        """Go on from ``last.pt`` where there is one; return whether there was."""
        path = self.folder / "last.pt" if self.folder else None
        if path is None or not path.exists():
            return False
        state = checkpoint.load(path)
        try:
            self.load_state_dict(state)
        except (RuntimeError, KeyError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"{path}: is of another configuration ({reason}); "
                "choose another name or folder for this run, or restore that configuration"
            ) from None
        return True

    def state_dict(self) -> dict:
        """Return everything that the rest of the run depends on."""
        return {
            "step": self.step_number,
            "seconds": self.seconds,
            "best_score": self.best_score,
            "game": self.game.state_dict(),
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "scalers": {name: s.state_dict() for name, s in self.scalers.items()},
            "averages": {name: a.state_dict() for name, a in self.averages.items()},
            "random": distributed.gather(checkpoint.random_state()),
        }

    def load_state_dict(self, state: Mapping) -> None:
        """Restore what ``state_dict`` returned."""
        self.step_number, self.seconds = state["step"], state["seconds"]
        self.best_score = state["best_score"]
        self.game.load_state_dict(state["game"])
        for kind in ("optimizers", "scalers", "averages"):
            for name, item in getattr(self, kind).items():
                item.load_state_dict(state[kind][name])
        if distributed.rank() < len(state["random"]):  # more processes than before start anew
            checkpoint.set_random_state(state["random"][distributed.rank()])


def steps_of(steps: int | None, epochs: float | None, per_epoch: float) -> int:
    """Return the length of a run in steps, told in steps or in epochs."""
    if (steps is None) == (epochs is None):
        raise ValueError(f"steps is {steps}, epochs {epochs}: give one of the two, null the other")
    return steps if steps is not None else max(round(epochs * per_epoch), 1)


def trained_by(turn: Turn) -> list[nn.Parameter]:
    """Return the parameters that a turn updates."""
    return [p for module in turn.trains for p in module.parameters() if p.requires_grad]


def pick_device(name: str) -> torch.device:
    """Return the named device; ``auto`` is CUDA where there is one, else the CPU.

    Raises:
        ValueError: where torch has no such device here.
    """
    if name == "auto":
        name = f"cuda:{distributed.local_rank()}" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} can't be used here ({reason})") from None
    return torch.device(name)


def lookup(what: str, key: str, table: Mapping):
    """Return ``table[key]``, or raise a ValueError that names the choices."""
    if key not in table:
        raise ValueError(f"{what} {key!r}: choose one of {', '.join(table)}")
    return table[key]


def seed_all(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
