"""Two processes that share each batch, against one that has all of it."""

import multiprocessing
import os
import socket
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
import torch.distributed as dist
from torch import nn

from gan import checkpoint, distributed, noise
from gan.feed import Order
from gan.generation import Generation
from gan.layers import SharedBatchNorm, share_batch_norm
from gan.objectives import Wasserstein
from gan.schedules import Above
from gan.trainer import Player, Trainer
from gan.translation import Translation
from image_gan.cycle import Cycle
from image_gan.patch_discriminator import PatchDiscriminator
from image_gan.resnet import ResNet
from image_gan.validation import Pictures
from segan import paper
from segan.validation import Validation

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch without distributed")
CPU = torch.device("cpu")
WAIT = 120  # seconds, on a machine that is busy


# -- two processes ---------------------------------------------------------------------------------


def serve(rank, port, orders):
    """Be one of two processes, as torchrun would start it, and call what is ordered."""
    torch.set_num_threads(1)
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()}, MASTER_ADDR="127.0.0.1")
    distributed.start(CPU)
    while order := orders.recv():
        function, arguments = order
        try:
            orders.send((function(*arguments), None))
        except Exception as error:
            orders.send((None, f"{type(error).__name__}: {error}"))
    distributed.stop()
    os._exit(0)  # torch's threads have been seen to abort an interpreter that is taken down


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Pair:
    """Two processes: ``pair(function, ...)`` returns what it returns in each."""

    def __init__(self):
        spawn, port = multiprocessing.get_context("spawn"), free_port()
        self.pipes, theirs = zip(*(spawn.Pipe() for _ in range(2)), strict=True)
        self.processes = [
            spawn.Process(target=serve, args=(rank, port, pipe), daemon=True)
            for rank, pipe in enumerate(theirs)
        ]
        for process in self.processes:
            process.start()

    def __call__(self, function, *arguments):
        self.send(function, *arguments)
        answers = [self.answer(rank) for rank in range(2)]
        assert not (errors := [error for _, error in answers if error]), errors
        return [result for result, _ in answers]

    def send(self, function, *arguments):
        for pipe in self.pipes:
            pipe.send((function, arguments))

    def answer(self, rank):
        """Return a result and what was raised."""
        assert self.pipes[rank].poll(WAIT), f"process {rank} does not answer"
        return self.pipes[rank].recv()

    def close(self):
        """End both; return how they ended."""
        for pipe, process in zip(self.pipes, self.processes, strict=True):
            if process.is_alive():
                pipe.send(None)
        for process in self.processes:
            process.join(10)
            process.kill()
        return [process.exitcode for process in self.processes]


@pytest.fixture(scope="module")
def pair():
    pair = Pair()
    yield pair
    pair.close()


# -- systems ---------------------------------------------------------------------------------------


class Items(torch.utils.data.Dataset):
    """24 items of random numbers: a source and a target of one shape."""

    def __init__(self, *shape):
        self.shape = shape

    def __len__(self):
        return 24

    def __getitem__(self, index):
        rng = np.random.default_rng(int(index))
        return dict(zip(("source", "target"), rng.uniform(-1, 1, (2, *self.shape)), strict=True))


def segan():
    """The paper's system, whose generator draws z and whose discriminator keeps a reference."""
    size = {"channels": (2, 3, 4), "kernel": 7}
    game = Translation(
        paper.Generator(**size),
        paper.Discriminator(**size, window=64, references=5),
        distances={"l1": paper.PreEmphasizedL1()},
    )
    adapt = partial(torch.optim.RMSprop, lr=2e-4, alpha=0.9)
    players = {"discriminator": Player(adapt), "generator": Player(adapt, weights={"l1": 100})}
    return game, players, Items(1, 64)


def cyclegan():
    """The paper's system; its pools are soon full."""
    translators = (ResNet(1, 1, channels=2, blocks=1) for _ in range(2))
    judges = (PatchDiscriminator(1, 0, channels=2, patch=16, norm="instance") for _ in range(2))
    adam = partial(torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999))
    cycles = {"source_cycle": 10, "target_cycle": 10}
    players = {"generator": Player(adam, weights=cycles), "discriminator": Player(adam)}
    return Cycle(*translators, *judges, pool=8), players, Items(1, 16, 16)


def wgan_gp(dropout=0.0):
    """WGAN-GP, which draws z and the places between real and generated samples."""
    generator = nn.Sequential(nn.Linear(3, 8), nn.Dropout(dropout), nn.ReLU(), nn.Linear(8, 2))
    critic = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    game = Generation(generator, critic, latent=3, objective=Wasserstein(), penalty=True)
    adam = partial(torch.optim.Adam, lr=1e-3, betas=(0.0, 0.9))
    judge = Player(adam, weights={"gradient_penalty": 10})
    return game, {"discriminator": judge, "generator": Player(adam, every=5)}, Items(2)


def gated():
    """A critic that rests where its loss is low, and whose gradient is cut."""
    game, players, data = wgan_gp()
    players["discriminator"].when = Above("adversarial", 0.0)
    players["discriminator"].clip = 0.1
    return game, players, data


def normalized():
    """Batch normalization by the statistics of all, which the penalty differentiates twice."""
    game, players, data = wgan_gp()
    for network in (game.generator, game.discriminator):
        network.insert(1, nn.BatchNorm1d(8))
    share_batch_norm(game)
    return game, players, data


def train(system, folder, steps=20, **settings):
    """Train in double precision, whose rounding no optimizer makes a step of."""
    torch.manual_seed(distributed.rank())  # processes must agree anyway
    game, players, data = system()
    settings = {"every": {"report": 1}, "device": "cpu", "bar": False, **settings}
    Trainer(
        game.double(), players, data, steps=steps, folder=folder, batch_size=6, **settings
    ).run()


def last(folder):
    return checkpoint.load(folder / "last.pt")


def assert_same_weights(one, two, within):
    for name, weight in last(one)["game"].items():
        torch.testing.assert_close(last(two)["game"][name], weight, rtol=within, atol=within)


# -- training --------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", [segan, cyclegan, wgan_gp, gated, normalized])
def test_two_halves_reproduce_the_whole(system, pair, tmp_path):
    train(system, tmp_path / "one")
    pair(train, system, tmp_path / "two")
    assert_same_weights(tmp_path / "one", tmp_path / "two", within=1e-8)
    one, two = ((tmp_path / name / "log.jsonl").read_text() for name in ("one", "two"))
    assert len(two.splitlines()) == len(one.splitlines())  # rank 0 alone writes


def test_one_goes_on_with_the_numbers_of_two_and_two_with_those_of_one(pair, tmp_path):
    train(wgan_gp, tmp_path / "one")
    pair(train, wgan_gp, tmp_path / "fewer", 10)
    train(wgan_gp, tmp_path / "fewer")
    train(wgan_gp, tmp_path / "more", 10)
    pair(train, wgan_gp, tmp_path / "more")
    for name in ("fewer", "more"):
        assert_same_weights(tmp_path / "one", tmp_path / name, within=1e-8)


def test_two_resumed_equal_two_uninterrupted_each_with_its_own_dropout(pair, tmp_path):
    system = partial(wgan_gp, dropout=0.5)
    pair(train, system, tmp_path / "whole")
    pair(train, system, tmp_path / "parts", 10)
    pair(train, system, tmp_path / "parts")
    assert_same_weights(tmp_path / "whole", tmp_path / "parts", within=0)
    first, second = (own["torch"] for own in last(tmp_path / "whole")["random"])
    assert not torch.equal(first, second)


def train_and_validate(folder):
    """Train with a validation whose items draw noise, as many as two processes can't share."""
    like = torch.zeros((), dtype=torch.double)

    def validate(networks, log):
        def score(seed):
            torch.manual_seed(seed)
            return networks["generator"](noise.normal(4, 3, like=like)).mean().item()

        return {"mean": float(np.mean(distributed.each(score, range(5))))}

    every = {"report": 1, "validate": 2}
    train(wgan_gp, folder, 8, every=every, validate=validate, best=("mean", "max"))


def test_a_validation_that_is_shared_out_scores_the_same(pair, tmp_path):
    train_and_validate(tmp_path / "one")
    pair(train_and_validate, tmp_path / "two")
    one, two = last(tmp_path / "one"), last(tmp_path / "two")
    assert two["best_score"] == pytest.approx(one["best_score"], rel=1e-9)
    assert_same_weights(tmp_path / "one", tmp_path / "two", within=1e-8)


def look(folder):
    """Validate a network of pictures."""
    torch.manual_seed(0)
    networks = {"generator": nn.Conv2d(1, 1, 1).double()}
    return validated(Pictures(Items(1, 8, 8), pictures=5), networks, folder)


def listen(folder):
    """Validate a network of speech, which draws z."""
    torch.manual_seed(0)
    networks = {"generator": paper.Generator(channels=(2, 3), kernel=7)}
    validation = Validation(folder.parent / "data", metrics=("si_sdr",), examples=2)
    return validated(validation, networks, folder)


def unseen(*shown):
    """Stand in for TensorBoard."""


def validated(validation, networks, folder):
    folder.mkdir(exist_ok=True)
    log = SimpleNamespace(folder=folder, step=7, audio=unseen, image=unseen)
    with torch.no_grad():
        return validation(networks, log if distributed.rank() == 0 else None)


def make_speech(folder):
    folder.mkdir()
    for name in "abc":
        wave = 0.1 * np.random.default_rng(ord(name)).standard_normal(1600)
        soundfile.write(folder / f"{name}.wav", wave, 16000)
    for table in ("wav.scp", "spk1.scp"):
        lines = [f"{name} {folder}/{name}.wav\n" for name in "abc"]
        (folder / table).write_text("".join(lines), encoding="utf-8")


@pytest.mark.parametrize("validate", [look, listen])
def test_validations_are_shared_out_and_written_once(validate, pair, tmp_path):
    make_speech(tmp_path / "data")
    alone = validate(tmp_path / "one")
    assert pair(validate, tmp_path / "two") == [alone, alone]
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name / "samples").iterdir()}
        for name in ("one", "two")
    )
    assert one == two and one


def average():
    """Return the mean gradients of parameters of two types and layouts, one of them unused."""
    shapes = (3,), (distributed.LARGE,), (2, 3, 2, 2), (2,)
    parameters = [nn.Parameter(torch.zeros(shape)) for shape in shapes]
    parameters += [nn.Parameter(torch.zeros(2, dtype=torch.double)), nn.Parameter(torch.zeros(1))]
    for number, parameter in enumerate(parameters[:5]):
        values = torch.arange(parameter.numel(), dtype=parameter.dtype).view_as(parameter)
        parameter.grad = (values + number) * (1 + 2 * distributed.rank())
    parameters[2].grad = parameters[2].grad.contiguous(memory_format=torch.channels_last)
    distributed.average_gradients(parameters)
    return [None if p.grad is None else p.grad[..., -4:].tolist() for p in parameters]


def test_gradients_are_averaged_whatever_their_size_type_and_layout(pair):
    alone = average()  # of the first process, and a third of the second's
    both = [x if x is None else (2 * np.array(x)).tolist() for x in alone]
    assert pair(average) == [both, both]


# -- noise and batches -----------------------------------------------------------------------------


def draw():
    """Return what is drawn for a batch of six, then for another one, gone on with from a state."""
    like = torch.zeros(6 // distributed.world(), 2, dtype=torch.double)
    torch.manual_seed(5 + 100 * distributed.rank())
    noise.seed(5, CPU)
    first = [noise.normal_like(like), noise.uniform(*like.shape, like=like)]
    state = noise.state()
    second = noise.normal(*like.shape, like=like)
    noise.set_state(state)
    again = noise.normal(*like.shape, like=like)
    return [x.tolist() for x in (*first, second, again)]


def test_processes_draw_the_shares_of_what_one_draws(pair):
    shares = pair(draw)
    for whole, *both in zip(draw(), *shares, strict=True):
        assert [whole[rank::2] for rank in range(2)] == both
    assert shares[0][2] == shares[0][3] != shares[0][0]


def test_alone_the_noise_is_torchs_own():
    x = torch.zeros(3, 4)
    torch.manual_seed(1)
    drawn = [noise.normal_like(x), noise.normal(3, 4, like=x), noise.uniform(3, 1, like=x)]
    torch.manual_seed(1)
    for own, of_torch in zip(
        drawn, [torch.randn_like(x), torch.randn(3, 4), torch.rand(3, 1)], strict=True
    ):
        assert torch.equal(own, of_torch)


def test_a_state_of_another_device_is_passed_over():
    noise.seed(0, CPU)
    before = noise.state()
    noise.set_state(torch.zeros(16, dtype=torch.uint8))  # as CUDA's is
    assert torch.equal(noise.state(), before)


def of_shares():
    """Return the batch that shares make up, and what reaches a share that all have used."""
    share = torch.arange(6.0).view(6, 1)[distributed.rank() :: 2].requires_grad_()
    whole = distributed.whole(share)
    wanted = torch.arange(6.0).view(6, 1) * (distributed.rank() + 1)
    (whole * wanted).sum().backward()
    return whole.flatten().tolist(), distributed.own(whole).tolist(), share.grad.flatten().tolist()


def test_the_whole_is_made_up_of_shares_and_sends_gradients_back(pair):
    for rank, (whole, own, gradient) in enumerate(pair(of_shares)):
        assert whole == [0, 1, 2, 3, 4, 5]
        assert own == [[rank], [rank + 2], [rank + 4]]
        assert gradient == [(1 + 2) * i for i in (rank, rank + 2, rank + 4)]


def test_the_shares_of_a_batch_are_the_batch():
    whole = iter(Order(10, 4, seed=1))
    shares = [iter(Order(10, 4, seed=1, rank=rank, world=2)) for rank in (0, 1)]
    for _ in range(6):
        assert sorted(next(whole)) == sorted(next(shares[0]) + next(shares[1]))


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ValueError, match="batch_size 5: 2 processes can't share it evenly"):
        Order(10, 5, world=2)


# -- batch normalization ---------------------------------------------------------------------------


def normalize(kind, shape, momentum):
    """Normalize this process's share of a batch far from zero; return all that comes of it."""
    torch.manual_seed(0)
    layer = nn.Sequential(kind(3, momentum=momentum).double())
    nn.init.normal_(layer[0].weight)
    nn.init.normal_(layer[0].bias)
    share_batch_norm(layer)
    x = distributed.own(1e4 + torch.randn(8, 3, *shape, dtype=torch.double)).requires_grad_()
    for _ in range(2):
        y = layer(x)
    (y**3).mean().backward()
    parameters = list(layer.parameters())
    distributed.average_gradients(parameters)
    found = [p.grad for p in parameters] + list(layer.buffers()) + [layer.eval()(x), y, x.grad]
    return [t.tolist() for t in found]


@pytest.mark.parametrize(
    ("kind", "shape", "momentum"),
    [(nn.BatchNorm1d, (), 0.1), (nn.BatchNorm1d, (5,), None), (nn.BatchNorm2d, (4, 2), 0.1)],
)
def test_shared_batch_norm_is_that_of_the_whole_batch(kind, shape, momentum, pair):
    whole = normalize(kind, shape, momentum)
    for rank, share in enumerate(pair(normalize, kind, shape, momentum)):
        for one, own in zip(whole[:5], share[:5], strict=True):  # weights' gradients, statistics
            np.testing.assert_allclose(own, one, rtol=1e-9)
        for one, own in zip(whole[5:7], share[5:7], strict=True):  # in evaluation, in training
            np.testing.assert_allclose(own, one[rank::2], rtol=1e-7)
        of_x = np.array(whole[7])[rank::2]
        np.testing.assert_allclose(np.array(share[7]) / 2, of_x, rtol=1e-6, atol=1e-9)


def test_alone_shared_batch_norm_is_batch_norm():
    layer, x = nn.BatchNorm1d(3), torch.randn(4, 3)
    expected = layer(x)
    shared = nn.Sequential(layer)
    names = list(shared.state_dict())
    share_batch_norm(shared)
    share_batch_norm(shared)  # once is enough
    assert isinstance(layer, SharedBatchNorm) and isinstance(layer, nn.BatchNorm1d)
    assert torch.equal(shared(x), expected)
    assert list(shared.state_dict()) == names


# -- sharing work, stopping ------------------------------------------------------------------------


class Unportable(Exception):
    """One that can't be built from its message, and so not be sent."""

    def __init__(self, number, text):
        super().__init__(text)


def work(failing=None, error=None):
    """Share five items out; say by whom each was done, and how alone one was."""
    rank = distributed.rank()

    def one(item):
        if item == failing:
            raise error
        return item, rank, distributed.rank(), distributed.world()

    try:
        return distributed.each(one, range(5))
    except Exception as failure:
        return f"{type(failure).__name__}: {failure}"


def test_items_are_shared_out_and_come_back_in_order(pair):
    expected = [(item, item % 2, 0, 1) for item in range(5)]
    assert pair(work) == [expected, expected]


def test_what_fails_on_one_fails_on_all(pair):
    assert pair(work, 3, ValueError("x.wav: bad")) == ["ValueError: x.wav: bad"] * 2


def fail_unportably():
    return work(0, Unportable(1, "odd"))


def test_a_failure_that_cannot_be_sent_is_described(pair):
    own, other = pair(fail_unportably)
    assert (own, other) == ("Unportable: odd", "RuntimeError: Unportable: odd")


def ask_to_stop(numbers):
    stops = distributed.Stops()
    return [stops.any(number) for number in numbers[distributed.rank()]]


def test_all_learn_of_a_stop_at_the_same_step(pair):
    asked = [0, 0, 15, 0, 0], [0, 2, 2, 0, 0]
    assert pair(ask_to_stop, asked) == [[0, 0, 2, 15, 0]] * 2


def test_alone_a_stop_is_known_at_once():
    assert ask_to_stop([[0, 15]]) == [0, 15]


def test_others_that_cannot_be_reached_are_named(monkeypatch):
    names = {"RANK": 1, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    for name, value in names.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(ConnectionError, match="can't join the other processes"):
        distributed.start(CPU, timeout=0.5)


def train_without_end(folder):
    train(wgan_gp, folder, 10**6, every={"save": 5})


def test_of_two_one_is_killed_the_other_says_so_and_one_goes_on(pair, tmp_path):
    """The last test of the pair."""
    pair.send(train_without_end, tmp_path)
    limit = time.monotonic() + WAIT
    while not (tmp_path / "last.pt").exists() and time.monotonic() < limit:
        time.sleep(0.02)
    pair.processes[1].kill()
    pair.processes[1].join()
    _, error = pair.answer(0)
    assert error.startswith("Lost: another process of this run is gone (")
    assert "the last checkpoint is kept" in error
    assert pair.close()[0] == 0  # and waits for nobody
    step = last(tmp_path)["step"]
    train(wgan_gp, tmp_path, step + 3)
    assert last(tmp_path)["step"] == step + 3
