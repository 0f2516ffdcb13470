"""The trainer of every game: players take their turns, losses are weighed, runs resume.

It knows nothing of the task, and is never subclassed: what is new is a game, an objective, a
distance or a schedule.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from gan import checkpoint, distributed, noise, signals
from gan.averages import moving_average
from gan.clock import Clock
from gan.feed import feed, onto
from gan.game import Batch, Game, Losses, Turn
from gan.log import Log
from gan.penalties import clip_weights_
from gan.run_folder import RunFolder
from gan.speed import (
    Speed,
    compiled,
    keep_implementation,
    pick_device,
    pick_precision,
    same,
    uncompiled,
    undone,
)

RANK_SEEDS = 1_000_003  # between the seeds of the processes of a run


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

    def __post_init__(self):
        self.weights = self.weights or {}  # null in a configuration that undoes another's

    def total(self, losses: Losses, step: int) -> Tensor:
        """Return the weighted sum of ``losses``."""
        if unknown := self.weights.keys() - losses.keys():
            raise ValueError(
                f"weights for {sorted(unknown)}, but the losses are named {sorted(losses)}"
            )
        terms = [weighed(losses[name], self.weights.get(name, 1.0), step) for name in losses]
        return reduce(add, terms)


def weighed(loss: Tensor, weight: float | Callable[[int], float], step: int) -> Tensor:
    """Return ``loss`` times its weight at a step."""
    weight = weight(step) if callable(weight) else weight
    return loss if weight == 1 else weight * loss


class Trainer:
    """The loop: batches, turns, averages, reports, validation, checkpoints.

    ``Trainer(game, players, dataset, steps=1000).run()`` is all there is to a run; where ``folder``
    holds ``last.pt``, it goes on from there, on a CPU bit for bit as if it had never stopped.
    Started by torchrun, its processes share every batch and give the update of the whole; dropout
    stays each process's own, and so do batch statistics unless ``speed`` says otherwise.

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
        precision: fp32, bf16 or fp16 (autocast; weights stay float32); ``auto`` takes bf16 on CUDA.
        speed: how the device is driven: a ``gan.speed.Speed``, or its attributes.
        prepare: what is done to every batch once it is on the device, such as mixing.
        averages: ``{network: decay}``, exponential moving averages for validation and export; see
            ``gan.averages``.
        validate: ``(networks, log) -> scores``, networks by name, averaged where averaged.
        best: ``(name of a score, "max" or "min")`` that ``best.pt`` goes by.
        exports: ``{network: its configuration}``, what is exported as safetensors, and how.
        every: steps between reports, validations and checkpoints; 0 is never (save: at the end).
        keep: how many of the last checkpoints are kept.
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
        precision: str = "auto",
        speed: Speed | Mapping | None = None,
        prepare: Callable[[Batch], Batch] | None = None,
        averages: Mapping[str, float] | None = None,
        validate: Callable[[Mapping[str, nn.Module], Log | None], dict[str, float]] | None = None,
        best: tuple[str, str] | None = None,
        exports: Mapping[str, Mapping] | None = None,
        every: Mapping[str, int] | None = None,
        keep: int = 1,
        notes: Mapping[str, str] | None = None,
        bar: bool | None = None,
    ):
        self.device = pick_device(device)
        self.autocast_type = pick_precision(precision, self.device)
        speed = speed if isinstance(speed, Speed) else Speed(**(speed or {}))
        self.speed = speed.on(self.device)
        distributed.start(self.device)
        self.speed.set_kernels(self.device)
        self.speed.set_layers(game)
        distributed.share(game.to(self.device))
        self.game, self.players, self.dataset = game, dict(players), dataset
        self.batch_size, self.accumulate = batch_size, accumulate
        self.steps = steps_of(steps, epochs, len(dataset) / (batch_size * accumulate))
        self.workers, self.seed, self.bar = workers, seed, bar
        self.folder = Path(folder) if folder is not None else None
        self.kept = RunFolder(self.folder, keep) if self.folder else None
        self.prepare_batch = prepare.to(self.device) if isinstance(prepare, nn.Module) else prepare
        self.validate, self.best, self.exports = validate, best, dict(exports or {})
        self.every = {"report": 50, "validate": 0, "save": 1000, **(every or {})}
        self.notes = dict(notes or {})
        self.step_number, self.best_score, self.seconds, self.validated = 0, None, 0.0, 0
        self.pending: list[tuple[int, str, Losses]] = []
        self.log: Log | None = None
        self.clock = Clock(self.device)
        self.to_compile = self.speed.networks(game)
        self.build(averages or {})

    def build(self, averages: Mapping[str, float]) -> None:
        """Build the optimizers, gradient scalers and averages."""
        turns = self.game.turns()
        if turns.keys() != self.players.keys():
            raise ValueError(
                f"the game's players are {sorted(turns)}, configured are {sorted(self.players)}"
            )
        self.parameters = {name: trained_by(turn) for name, turn in turns.items()}
        self.optimizers = {n: p.optimizer(self.parameters[n]) for n, p in self.players.items()}
        for optimizer in self.optimizers.values():
            self.speed.set_optimizer(optimizer)
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
        if self.speed.graphs and self.device.type == "cuda":
            torch.compiler.cudagraph_mark_step_begin()  # what graphs gave before may go
        turns = self.game.turns()
        due = [name for name in turns if self.step_number % self.players[name].every == 0]
        shared = self.play(batches[0]) if len(batches) == 1 else None
        for name in due:
            with self.clock(name):
                self.take(name, turns[name], batches, shared, keep=name != due[-1])
        for name, average in self.averages.items():
            average.update_parameters(getattr(self.game, name))
        self.step_number += 1

    def take(self, name: str, turn: Turn, batches: list[Batch], shared: Batch | None, keep: bool):
        """Take one player's turn: its losses, their gradient in its weights alone, an update."""
        player, optimizer, scaler = self.players[name], self.optimizers[name], self.scalers[name]
        optimizer.zero_grad(set_to_none=True)
        for batch in batches:
            play = shared if shared is not None else self.play(batch)
            with self.autocast():
                losses = turn.losses(batch, play)
                total = player.total(losses, self.step_number)
                total = total / len(batches) if len(batches) > 1 else total
            scaler.scale(total).backward(inputs=self.parameters[name], retain_graph=keep)
            self.pending.append(
                (self.step_number, name, {k: v.detach() for k, v in losses.items()})
            )
        if player.when and not player.when(
            distributed.mean({k: v.item() for k, v in losses.items()})
        ):
            return
        self.update(player, optimizer, scaler, name, turn)

    def update(self, player: Player, optimizer, scaler, name: str, turn: Turn) -> None:
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
            for module in turn.trains:
                clip_weights_(module, player.weight_limit)

    def play(self, batch: Batch) -> Batch:
        """Return what the turns share."""
        with self.clock("play"), self.autocast():
            return self.game.play(batch)

    def autocast(self):
        """Return the context that computes in the chosen precision."""
        if self.autocast_type is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.autocast_type)

    # -- the run -----------------------------------------------------------------------------

    def run(self) -> dict[str, float]:
        """Train to the last step and return the last scores.

        Raises:
            NonFinite: where a loss or weight is; the last checkpoint stays as it was.
            Interrupted: on Ctrl-C or SIGTERM, after a checkpoint.
            gan.distributed.Lost: where another process of the run is gone; as with NonFinite.
            ValueError: where the folder is another run's, or in use.
        """
        with self.kept.lock() if self.kept else nullcontext():
            seed_all(self.seed + RANK_SEEDS * distributed.rank())
            noise.seed(self.seed, self.device)
            self.resume()
            if self.folder and distributed.rank() == 0:
                self.log = Log(self.folder, self.steps, self.step_number, self.bar)
            try:
                with signals.noted() as stop:
                    return self.loop(stop)
            finally:
                if self.log:
                    self.log.close()

    def loop(self, stop) -> dict[str, float]:
        """Take steps to the last one, or until ``stop`` has a number."""
        started, scores = time.monotonic() - self.seconds, {}
        stops, tried = distributed.Stops(), False
        if self.owes_validation():
            scores = self.score(stop)
        with closing(self.batches()) as batches:
            self.clock.reset()
            while self.step_number < self.steps:
                with self.clock("data"):
                    due = [next(batches) for _ in range(self.accumulate)]
                if self.step_number and not tried:
                    tried = self.rehearse(due[0])
                self.step(due)
                self.seconds = time.monotonic() - started
                self.clock.step(self.batch_size * self.accumulate)
                scores = self.after_step(stop, scores)
                if number := stops.any(stop.number):
                    self.save()
                    raise Interrupted(number)
        return scores

    def rehearse(self, batch: Batch) -> bool:
        """Try what not every game allows, on a batch and without a trace; keep what works.

        Not before the first step, in which a network may take its reference.
        """
        if self.speed.together:
            self.game.together = all(distributed.gather(self.agrees_together(batch)))
        if self.to_compile:
            with self.trial():
                own = compiled(self.to_compile, self.speed.graphs, lambda: self.losses_of(batch))
            if failure := max(distributed.gather(own)):
                uncompiled(self.to_compile, failure)
        return True

    def agrees_together(self, batch: Batch) -> bool:
        """Return whether real and fake in one pass come to what two passes do, in float32."""
        chosen, self.autocast_type, ways = self.autocast_type, None, []
        for self.game.together in (False, True):
            with self.trial():
                ways.append([*self.losses_of(batch), *(b.clone() for b in self.game.buffers())])
        self.autocast_type = chosen
        return same(*ways)

    @contextmanager
    def trial(self):
        """Leave no trace of what is done inside, and exchange nothing with other processes."""
        with distributed.apart(), undone(self.game):
            yield

    def losses_of(self, batch: Batch) -> list[Tensor]:
        """Return the losses of all turns, after a backward pass of each that nothing comes of."""
        play, losses, turns = self.play(batch), [], self.game.turns()
        for name, turn in turns.items():
            with self.autocast():
                own = turn.losses(batch, play)
                total = self.players[name].total(own, self.step_number)
            keep = name != list(turns)[-1]
            total.backward(inputs=self.parameters[name], retain_graph=keep)
            losses += [loss.detach() for loss in own.values()]
        return losses

    def after_step(self, stop, scores: dict[str, float]) -> dict[str, float]:
        """Report, validate and save where it is time; return the latest scores."""
        if self.log:
            self.log.advance(self.step_number)
        if self.due("report"):
            with self.clock("report"):
                self.report()
        if self.validate and self.due("validate"):
            scores = self.score(stop)
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
        pin = self.device.type == "cuda"
        batches = feed(self.dataset, self.batch_size, self.seed, start, self.workers, *share, pin)
        with closing(onto(self.device, batches)) as batches:
            for batch in batches:
                batch = self.prepare_batch(batch) if self.prepare_batch else batch
                yield self.speed.laid_out(batch)

    def report(self) -> None:
        """Log the mean losses since the last report, once they are known to be finite."""
        named = [(s, player, n) for s, player, losses in self.pending for n in losses]
        values = [v.float() for _, _, losses in self.pending for v in losses.values()]
        self.pending.clear()
        sums: dict[str, list[float]] = {}
        for (step, player, name), value in zip(named, fetched(values), strict=True):
            if not np.isfinite(value):
                raise NonFinite(
                    f"loss {name!r} of the {player} is {value} at step {step}; "
                    f"the last good checkpoint is kept: lower its learning rate or clip "
                    f"its gradient, and run again"
                )
            sums.setdefault(f"{player}/{name}", []).append(value)
        means = distributed.mean({name: float(np.mean(values)) for name, values in sums.items()})
        if self.log and means:
            speed = self.clock.read()
            left = {"seconds_left": self.clock.left(self.steps - self.step_number)}
            self.log.scalars({**means, "seconds": self.seconds, **speed, **left})

    def owes_validation(self) -> bool:
        """Return whether a run that was stopped in a validation has to begin with it."""
        begun = self.validate is not None and self.step_number > 0
        return begun and self.due("validate") and self.validated < self.step_number

    def score(self, stop) -> dict[str, float]:
        """Validate; keep the best. Randomness goes on afterwards as if nothing had been.

        Alone, a signal ends a validation at once, and the run with a checkpoint.
        """
        state = checkpoint.random_state(), noise.state()
        networks = self.networks()
        training = {name: network.training for name, network in networks.items()}
        for network in networks.values():
            network.eval()
        try:
            with self.endable(stop), self.clock("validate"), torch.no_grad(), self.eagerly():
                scores = distributed.gather(self.validate(networks, self.log))[0]
        except signals.Stopped as stopped:
            self.restore(networks, training, state)
            self.save()
            raise Interrupted(stopped.number) from None
        self.restore(networks, training, state)
        self.validated = self.step_number
        if self.log:
            self.log.scalars(scores, "validation")
        self.keep_best(scores)
        return scores

    def endable(self, stop):
        """Return the context that a signal ends at once; several processes go on together."""
        return stop.raising() if distributed.world() == 1 else nullcontext()

    def eagerly(self):
        """Return the context in which compiled networks take inputs of any shape as they are."""
        return torch.compiler.set_stance("force_eager") if self.to_compile else nullcontext()

    def restore(self, networks: Mapping[str, nn.Module], training: Mapping, state: tuple) -> None:
        """Let networks and randomness be as they were before a validation."""
        for name, network in networks.items():
            network.train(training[name])
        checkpoint.set_random_state(state[0])
        noise.set_state(state[1])

    def networks(self) -> dict[str, nn.Module]:
        """Return the game's networks by name, averaged ones in place of their originals."""
        averaged = {name: average.module for name, average in self.averages.items()}
        return {**dict(self.game.named_children()), **averaged}

    # -- checkpoints -------------------------------------------------------------------------

    def keep_best(self, scores: Mapping[str, float]) -> None:
        """Write ``best.pt`` and the exports where the chosen score has never been as good."""
        if not self.best or not self.kept:
            return
        name, order = self.best
        score = scores[name] * lookup("order of best", order, {"max": 1, "min": -1})
        if self.best_score is None or score > self.best_score:
            self.best_score = score
            self.write(self.kept.save_best)
            self.export()

    def save(self) -> None:
        """Write ``last.pt``, and the exports unless a best one is kept."""
        with self.clock("save"):
            self.report()
            if self.kept:
                self.write(self.kept.save)
                if not self.best:
                    self.export()

    def write(self, save: Callable[[dict], None]) -> None:
        """Write one checkpoint; refuse to where a weight is no longer finite."""
        weights = {k: t for k, t in self.game.state_dict().items() if t.is_floating_point()}
        for key, finite in zip(
            weights, fetched([t.isfinite().all() for t in weights.values()]), strict=True
        ):
            if not finite:
                raise NonFinite(
                    f"weight {key!r} is no longer finite at step {self.step_number}; "
                    "the last good checkpoint is kept"
                )
        state = self.state_dict()
        if distributed.rank() == 0:
            save(state)

    def export(self) -> None:
        """Write the networks that are asked for, with what builds them."""
        if distributed.rank() > 0:
            return
        for network, config in self.exports.items():
            path = self.folder / f"{network}.safetensors"
            notes = {"step": str(self.step_number), **self.notes}
            checkpoint.export(path, self.networks()[network], config, **notes)

    def resume(self) -> bool:
        """Go on from the last checkpoint where there is one; return whether there was."""
        latest = self.kept.latest() if self.kept else None
        if latest is None:
            return False
        path, state = latest
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
            "validated": self.validated,
            "game": self.game.state_dict(),
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "scalers": {name: s.state_dict() for name, s in self.scalers.items()},
            "averages": {name: a.state_dict() for name, a in self.averages.items()},
            "random": distributed.gather(checkpoint.random_state()),
            "noise": noise.state(),
        }

    def load_state_dict(self, state: Mapping) -> None:
        """Restore what ``state_dict`` returned, perhaps on another device or precision."""
        self.step_number, self.seconds = state["step"], state["seconds"]
        self.best_score, self.validated = state["best_score"], state["validated"]
        self.game.load_state_dict(state["game"])
        for name, optimizer in self.optimizers.items():
            saved = keep_implementation(optimizer, state["optimizers"][name])
            optimizer.load_state_dict(saved)
        for name, scaler in self.scalers.items():
            if state["scalers"][name]:  # empty where the precision wanted none
                scaler.load_state_dict(state["scalers"][name])
        for name, average in self.averages.items():
            average.load_state_dict(state["averages"][name])
        if distributed.rank() < len(state["random"]):  # more processes than before start anew
            checkpoint.set_random_state(state["random"][distributed.rank()])
        noise.set_state(state["noise"])


def fetched(values: list[Tensor]) -> list:
    """Return scalars of one type as Python's, in one transfer from the device."""
    return torch.stack(values).tolist() if values else []


def steps_of(steps: int | None, epochs: float | None, per_epoch: float) -> int:
    """Return the length of a run in steps, told in steps or in epochs."""
    if (steps is None) == (epochs is None):
        raise ValueError(f"steps is {steps}, epochs {epochs}: give one of the two, null the other")
    return steps if steps is not None else max(round(epochs * per_epoch), 1)


def trained_by(turn: Turn) -> list[nn.Parameter]:
    """Return the parameters that a turn updates."""
    return [p for module in turn.trains for p in module.parameters() if p.requires_grad]


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
