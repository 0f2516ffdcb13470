"""The trainer against hand-written loops, and against itself interrupted."""

import json
import multiprocessing
import os
import signal
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

from gan import checkpoint
from gan.feed import Order
from gan.game import Game, Turn
from gan.schedules import Above, Linear
from gan.trainer import Interrupted, NonFinite, Player, Trainer
from gan.translation import Translation

POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


class Generator(nn.Module):
    """A tiny conditional generator with a latent drawn anew in every step."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv1d(2, 4, 5, padding=2), nn.PReLU(), nn.Conv1d(4, 1, 1))

    def forward(self, source):
        return self.net(torch.cat([source, torch.randn_like(source)], dim=1))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv1d(2, 4, 4, 2), nn.BatchNorm1d(4), nn.LeakyReLU(0.3), nn.Conv1d(4, 1, 4, 2)
        )

    def forward(self, x, given):
        return self.net(torch.cat([x, given], dim=1))


class Waves(torch.utils.data.Dataset):
    """Pairs that depend on the index and the epoch alone."""

    def __init__(self, count=12):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        rng = np.random.default_rng([int(index), getattr(index, "epoch", 0)])
        target = rng.standard_normal((1, 32)).astype(np.float32)
        noise = rng.standard_normal((1, 32)).astype(np.float32)
        return {"source": target + noise, "target": target}


def rmsprop(parameters):
    return torch.optim.RMSprop(parameters, lr=2e-4)


def segan_players(**of_generator):
    return {
        "discriminator": Player(rmsprop),
        "generator": Player(rmsprop, weights={"l1": 100}, **of_generator),
    }


def segan(steps=6, folder=None, seed=3, players=None, dataset=None, **options):
    torch.manual_seed(7)
    game = Translation(Generator(), Discriminator())
    return Trainer(
        game,
        players or segan_players(),
        dataset or Waves(),
        steps=steps,
        folder=folder,
        seed=seed,
        batch_size=4,
        device="cpu",
        bar=False,
        **options,
    )


def weights(trainer):
    return {k: v.clone() for k, v in trainer.game.state_dict().items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]), key


def test_equals_a_hand_written_segan_loop_exactly():
    trainer = segan(steps=6)
    trainer.run()

    torch.manual_seed(7)
    generator, discriminator = Generator(), Discriminator()
    of_d, of_g = rmsprop(discriminator.parameters()), rmsprop(generator.parameters())
    torch.manual_seed(3)
    order = iter(Order(12, 4, seed=3))
    for _ in range(6):
        items = []
        for draw in next(order):
            rng = np.random.default_rng([int(draw), draw.epoch])
            target, noise = (rng.standard_normal((1, 32)).astype(np.float32) for _ in range(2))
            items.append((target + noise, target))
        noisy, clean = (torch.from_numpy(np.stack(x)) for x in zip(*items, strict=True))
        estimate = generator(noisy)
        of_d.zero_grad()
        real, fake = discriminator(clean, noisy), discriminator(estimate.detach(), noisy)
        (((real - 1) ** 2).mean() + (fake**2).mean()).backward()
        of_d.step()
        of_g.zero_grad()
        adversarial = ((discriminator(estimate, noisy) - 1) ** 2).mean()
        (adversarial + 100 * (estimate - clean).abs().mean()).backward()
        of_g.step()

    by_hand = Translation(generator, discriminator).state_dict()
    assert_same(weights(trainer), by_hand)


RICH = {"averages": {"generator": 0.9}, "every": {"report": 1, "save": 2}}


def rich_players():
    return {
        "discriminator": Player(torch.optim.Adam, when=Above("adversarial", 0.5), every=2),
        "generator": Player(
            torch.optim.AdamW, weights={"l1": Linear(10, 1, 20)}, schedule=Linear(1, 0, 40), clip=1
        ),
    }


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path):
    whole = segan(20, tmp_path / "whole", players=rich_players(), **RICH)
    whole.run()
    segan(7, tmp_path / "parts", players=rich_players(), **RICH).run()
    segan(12, tmp_path / "parts", players=rich_players(), seed=3, **RICH).run()
    resumed = segan(20, tmp_path / "parts", players=rich_players(), **RICH)
    resumed.run()
    assert_same(weights(whole), weights(resumed))
    averaged = [t.averages["generator"].state_dict() for t in (whole, resumed)]
    assert_same(*averaged)
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")


def losses(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k.startswith(PLAYERS) or k == "step"} for line in lines
    ]


PLAYERS = ("discriminator/", "generator/")  # the rest of a report is about time and memory


def test_a_turn_leaves_the_other_player_untouched():
    trainer = segan()
    before = weights(trainer)
    batch = next(trainer.batches())
    turns = trainer.game.turns()
    play = trainer.play(batch)
    trainer.take("discriminator", turns["discriminator"], [batch], play, keep=True)
    after = weights(trainer)
    changed = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"discriminator"}
    assert all(p.grad is None for p in trainer.game.generator.parameters())


def test_accumulated_halves_give_the_update_of_the_whole():
    def one_step(**sizes):
        torch.manual_seed(0)
        game = Translation(nn.Conv1d(1, 1, 3, padding=1))
        player = Player(lambda p: torch.optim.SGD(p, lr=0.1))
        options = {"steps": 1, "seed": 1, "device": "cpu", "bar": False}
        trainer = Trainer(game, {"generator": player}, Waves(8), **sizes, **options)
        trainer.run()
        return weights(trainer)

    whole, halves = one_step(batch_size=8), one_step(batch_size=4, accumulate=2)
    for key in whole:
        torch.testing.assert_close(whole[key], halves[key])


def test_a_gate_is_asked_after_the_losses_so_that_a_resting_player_wakes():
    class Drift(Game):
        """The judge's loss rises by itself; only its own turns bring it down."""

        def __init__(self):
            super().__init__()
            self.judge = nn.Linear(1, 1, bias=False)
            nn.init.zeros_(self.judge.weight)
            self.time = 0

        def turns(self):
            return {"judge": Turn([self.judge], self.losses)}

        def losses(self, batch, play):
            self.time += 1
            return {"loss": (self.judge.weight - self.time / 10).square().sum()}

    took = []

    def gate(losses):
        took.append(losses["loss"] > 0.2)
        return took[-1]

    player = Player(lambda p: torch.optim.SGD(p, lr=0.4), when=gate)
    Trainer(Drift(), {"judge": player}, Waves(4), steps=12, device="cpu", bar=False).run()
    assert not took[0]  # it rests at first
    assert any(took)  # and wakes once its loss has risen
    assert not all(took[took.index(True) :])  # and rests again


def test_every_and_unscheduled_steps_leave_weights_alone():
    trainer = segan(
        players={"discriminator": Player(rmsprop, every=3), "generator": Player(rmsprop)}
    )
    batches = trainer.batches()
    trainer.step([next(batches)])
    before = [p.clone() for p in trainer.game.discriminator.parameters()]
    trainer.step([next(batches)])
    now = list(trainer.game.discriminator.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, now, strict=True))
    trainer.step([next(batches)])
    trainer.step([next(batches)])
    assert not torch.equal(before[0], trainer.game.discriminator.net[0].weight)


@pytest.mark.parametrize("decay", [0.15, 0.999])
def test_average_follows_its_definition(decay):
    trainer = segan(steps=4, averages={"generator": decay})
    expected, batches = None, trainer.batches()
    for count in range(4):
        trainer.step([next(batches)])
        now = trainer.game.generator.net[0].weight.detach().clone()
        keep = min(decay, (1 + count) / (10 + count))
        expected = now if expected is None else keep * expected + (1 - keep) * now
    averaged = trainer.networks()["generator"].net[0].weight
    torch.testing.assert_close(averaged, expected)


def test_an_average_of_a_decay_that_never_forgets_is_refused():
    with pytest.raises(ValueError, match=r"decay 1\.0 of an average"):
        segan(averages={"generator": 1.0})


def test_weight_limit_holds():
    players = segan_players()
    players["discriminator"].weight_limit = 0.01
    trainer = segan(steps=2, players=players)
    trainer.run()
    assert max(p.abs().max() for p in trainer.game.discriminator.parameters()) <= 0.01
    assert max(p.abs().max() for p in trainer.game.generator.parameters()) > 0.01


def test_a_nan_stops_the_run_and_leaves_the_last_good_checkpoint(tmp_path):
    segan(4, tmp_path, every={"save": 2}).run()
    good = (tmp_path / "last.pt").read_bytes()
    trainer = segan(9, tmp_path, every={"save": 1, "report": 1})
    turns, fool = trainer.game.turns, trainer.game.fool

    def poisoned(batch, play):
        scale = float("nan") if trainer.step_number == 4 else 1.0
        return {name: scale * loss for name, loss in fool(batch, play).items() if name != "extra"}

    trainer.game.turns = lambda: {**turns(), "generator": Turn([trainer.game.generator], poisoned)}
    with pytest.raises(NonFinite, match=r"'adversarial' of the generator is nan at step 4"):
        trainer.run()
    assert (tmp_path / "last.pt").read_bytes() == good


def test_a_weight_gone_infinite_is_not_saved(tmp_path):
    trainer = segan(2, tmp_path, every={"save": 100})
    trainer.run()
    good = (tmp_path / "last.pt").read_bytes()
    with torch.no_grad():
        trainer.game.generator.net[0].weight[0, 0, 0] = float("inf")
    with pytest.raises(NonFinite, match=r"generator.net.0.weight"):
        trainer.save()
    assert (tmp_path / "last.pt").read_bytes() == good


@POSIX
def test_sigterm_saves_and_says_so(tmp_path):
    def kill_me(networks, log):
        os.kill(os.getpid(), signal.SIGTERM)
        return {"score": 1.0}

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="SIGTERM") as stop:
        segan(9, tmp_path, validate=kill_me, every={"validate": 5}).run()
    assert stop.value.number == signal.SIGTERM
    assert checkpoint.load(tmp_path / "last.pt")["step"] == 5
    assert signal.getsignal(signal.SIGTERM) is before


@POSIX
def test_a_signal_ends_a_validation_at_once_and_the_run_goes_on_with_it(tmp_path):
    options = {"every": {"validate": 5}, "best": ("score", "max"), "players": rich_players()}
    whole = segan(9, tmp_path / "whole", validate=lambda *_: {"score": 1.0}, **options)
    whole.run()

    def long_one(networks, log):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    with pytest.raises(Interrupted):
        segan(9, tmp_path / "parts", validate=long_one, **options).run()
    scored = []

    def validate(networks, log):
        scored.append(log.step)
        torch.rand(3)  # which must change nothing
        return {"score": 1.0}

    parts = segan(9, tmp_path / "parts", validate=validate, **options)
    parts.run()
    assert scored == [5, 9]
    assert_same(weights(whole), weights(parts))
    assert checkpoint.load(tmp_path / "parts" / "best.pt")["step"] == 5


def test_batches_are_prepared_on_the_device():
    class Louder(nn.Module):
        def forward(self, batch):
            return {name: 2 * wave for name, wave in batch.items()}

    plain, prepared = segan(), segan(prepare=Louder())
    batch = next(plain.batches())
    for name, wave in next(prepared.batches()).items():
        assert torch.equal(wave, 2 * batch[name])


def train_in_a_group(folder):
    os.setsid()
    torch.set_num_threads(1)
    try:
        segan(10**6, folder, workers=2, every={"save": 1}).run()
    except Interrupted as stop:
        os._exit(128 + stop.number)


@POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.slow
def test_a_signal_to_the_whole_group_spares_the_workers_until_all_is_saved(tmp_path, number):
    process = multiprocessing.get_context("spawn").Process(target=train_in_a_group, args=[tmp_path])
    process.start()
    deadline = time.monotonic() + 300
    while not (tmp_path / "last.pt").exists():
        time.sleep(0.02)
        assert process.is_alive() and time.monotonic() < deadline
    os.killpg(process.pid, number)
    process.join(120)
    assert process.exitcode == 128 + number


class Broken(Waves):
    def __getitem__(self, index):
        raise ValueError("a.wav: is broken")


def train_on_broken():
    try:
        segan(9, dataset=Broken(), workers=2).run()
    except ValueError:
        sys.exit(2)


@POSIX
def test_broken_data_end_the_run_and_its_workers(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=train_on_broken)
    process.start()
    process.join(300)
    assert process.exitcode == 2


def test_validation_leaves_training_as_it_was(tmp_path):
    def noisy_validation(networks, log):
        assert not networks["generator"].training
        torch.randn(100), np.random.rand(3)
        return {"score": 0.0}

    plain, validated = segan(6), segan(6, validate=noisy_validation, every={"validate": 2})
    plain.run()
    validated.run()
    assert_same(weights(plain), weights(validated))


def test_best_is_kept_by_its_score(tmp_path):
    scores = iter([1.0, 3.0, 2.0])
    trainer = segan(
        6,
        tmp_path,
        validate=lambda networks, log: {"pesq": next(scores)},
        best=("pesq", "max"),
        every={"validate": 2},
    )
    assert trainer.run() == {"pesq": 2.0}
    assert checkpoint.load(tmp_path / "best.pt")["step"] == 4
    assert checkpoint.load(tmp_path / "last.pt")["step"] == 6


def test_wrong_names_are_refused():
    with pytest.raises(ValueError, match=r"weights for \['l2'\].*\['adversarial', 'l1'\]"):
        players = segan_players()
        players["generator"].weights = {"l2": 3}
        segan(players=players).run()
    with pytest.raises(ValueError, match="players"):
        segan(players={"generator": Player(rmsprop)})
    with pytest.raises(ValueError, match="fp32, bf16, fp16"):
        segan(precision="fp8")


def test_bfloat16_stays_near_float32():
    plain, half = segan(6), segan(6, precision="bf16")
    plain.run()
    half.run()
    for key, value in weights(plain).items():
        if value.is_floating_point():
            torch.testing.assert_close(value, weights(half)[key], atol=2e-2, rtol=0.1)


def test_three_players_share_one_graph():
    class Trio(Game):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = (nn.Linear(1, 1) for _ in range(3))

        def play(self, batch):
            return {"y": self.c(self.b(self.a(batch["target"].mean(-1))))}

        def turns(self):
            def losses(batch, play):
                return {"loss": play["y"].square().mean()}

            return {name: Turn([getattr(self, name)], losses) for name in "abc"}

    players = {name: Player(lambda p: torch.optim.SGD(p, lr=0.01)) for name in "abc"}
    trainer = Trainer(Trio(), players, Waves(4), steps=1, device="cpu", bar=False)
    before = weights(trainer)
    trainer.run()
    assert all(not torch.equal(before[k], v) for k, v in weights(trainer).items())


def test_translation_overfits_one_batch():
    torch.manual_seed(0)
    game = Translation(nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 32)))
    player = Player(lambda p: torch.optim.Adam(p, lr=1e-2))

    class One(Waves):
        def __getitem__(self, index):
            return super().__getitem__(int(index))

    trainer = Trainer(game, {"generator": player}, One(4), steps=400, device="cpu", bar=False)
    trainer.batch_size = 4
    batch = next(trainer.batches())
    before = game.fool(batch, game.play(batch))["l1"].item()
    trainer.run()
    assert game.fool(batch, game.play(batch))["l1"].item() < 0.05 * before


def test_swapping_source_and_target_changes_the_judge():
    torch.manual_seed(0)
    game = Translation(Generator(), Discriminator())
    batch = {"source": torch.randn(4, 1, 32), "target": torch.randn(4, 1, 32)}
    play = {"estimate": torch.randn(4, 1, 32)}
    swapped = {"source": batch["target"], "target": batch["source"]}
    one, other = (game.judge(b, play)["adversarial"] for b in (batch, swapped))
    assert abs(one - other) > 1e-4
