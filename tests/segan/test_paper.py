import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gan.objectives import LeastSquares
from segan.audio import preemphasis
from segan.paper import (
    CHANNELS,
    CHANNELS_PLUS,
    Discriminator,
    DiscriminatorPlus,
    Down,
    Generator,
    GeneratorPlus,
    PreEmphasizedL1,
    Up,
)

WINDOW = 128
GENERATORS = [
    lambda: Generator(channels=(3, 4, 5), kernel=7),
    lambda: GeneratorPlus(channels=(3, 4), kernel=11),
]
JUDGES = [
    lambda: Discriminator(channels=(3, 4, 5), kernel=7, window=WINDOW, references=3),
    lambda: DiscriminatorPlus(channels=(3, 4), kernel=7, window=WINDOW, hidden=(6, 5)),
]
both_generators = pytest.mark.parametrize("make", GENERATORS, ids=["segan", "segan+"])
both_judges = pytest.mark.parametrize("make", JUDGES, ids=["segan", "segan+"])


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def lively(module):
    """Weights large enough that signals of order 1 come out."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3)
    return module


def shapes(module, children, *inputs):
    """The (length, channels) of what each of the children puts out."""
    found = []
    for child in children:
        child.register_forward_hook(lambda _, __, out: found.append((out.shape[2], out.shape[1])))
    module(*inputs)
    return found


def test_parameters_are_as_many_as_published(monkeypatch):
    for name in ("normal_", "trunc_normal_"):  # which are slow to import for the meta device
        monkeypatch.setattr(nn.init, name, lambda tensor, **_: tensor)
    with torch.device("meta"):
        generator, discriminator = Generator(), Discriminator()
        plus, judge_plus = GeneratorPlus(), DiscriminatorPlus()
    assert count(generator) == 73_096_048  # 73.1 M
    assert count(generator) + count(discriminator) == 97_466_617  # 97.5 M
    assert count(plus) == 64_770_561  # 59 to 65 M
    assert count(judge_plus) == 25_825_793


def test_levels_of_segan_are_those_of_the_paper():
    levels = [(8192, 16), (4096, 32), (2048, 32), (1024, 64), (512, 64), (256, 128)]
    levels += [(128, 128), (64, 256), (32, 256), (16, 512), (8, 1024)]
    check_levels(levels, CHANNELS, Generator, Discriminator)


def test_levels_of_segan_plus_are_those_of_the_code():
    levels = [(4096, 64), (1024, 128), (256, 256), (64, 512), (16, 1024)]
    check_levels(levels, CHANNELS_PLUS, GeneratorPlus, DiscriminatorPlus)


def check_levels(levels, channels, make, make_judge):
    """Compare lengths and channels of networks that are 16 times thinner than published."""
    levels = [(length, width // 16) for length, width in levels]
    thin = [width // 16 for width in channels]
    generator, judge = make(thin), make_judge(thin)
    wave = torch.zeros(2, 1, 16384)
    assert shapes(generator, generator.encoder, wave) == levels
    assert shapes(generator, generator.decoder, wave) == [*levels[-2::-1], (16384, 1)]
    assert shapes(judge, judge.levels, wave, wave) == levels


def test_up_is_the_transpose_of_down():
    size = {"kernel": 31, "stride": 2, "bias": False}
    down, up = Down(3, 5, **size).double(), Up(5, 3, **size).double()
    up.weight = down.weight
    x, y = torch.randn(1, 3, 64).double(), torch.randn(1, 5, 32).double()
    assert torch.allclose((down(x) * y).sum(), (x * up(y)).sum())


def test_the_generator_equals_one_written_out():
    generator = lively(Generator(channels=(3, 4), kernel=7))
    w = dict(generator.named_parameters())
    x, z = torch.randn(2, 1, 32), torch.randn(2, 4, 8)
    first = F.conv1d(F.pad(x, (2, 3)), w["encoder.0.weight"], stride=2)
    code = F.conv1d(
        F.pad(F.prelu(first, w["encoder_prelus.0.weight"]), (2, 3)), w["encoder.1.weight"], stride=2
    )
    h = torch.cat([z, F.prelu(code, w["encoder_prelus.1.weight"])], 1)
    h = F.conv_transpose1d(h, w["decoder.0.weight"], stride=2, padding=2)[..., :16]
    h = torch.cat([F.prelu(h, w["decoder_prelus.0.weight"]), first], 1)
    h = F.conv_transpose1d(h, w["decoder.1.weight"], stride=2, padding=2)[..., :32]
    assert torch.allclose(generator.core(x, z), torch.tanh(h), atol=1e-6)


def test_a_level_of_the_discriminator_equals_one_written_out():
    judge = lively(JUDGES[0]())
    waves = torch.randn(4, 2, WINDOW)  # three of the reference, one to judge
    judge.set_reference(*waves[:3].split(1, dim=1))
    level = judge.features(*waves[3:].split(1, dim=1))[0]
    h = F.conv1d(F.pad(preemphasis(waves), (2, 3)), judge.levels[0].weight, stride=2)
    norm = judge.norms[0]
    h = F.batch_norm(h, None, None, norm.weight, norm.bias, training=True)
    assert torch.allclose(level, F.leaky_relu(h[3:], 0.3), atol=1e-5)


@both_generators
@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 300, 1001])
def test_any_length_comes_back(make, length):
    estimate = make()(torch.randn(2, 1, length))
    assert estimate.shape == (2, 1, length)
    assert torch.isfinite(estimate).all()


def one_channel(generator):
    """A generator's geometry with constant weights, so that every path has a gradient."""
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            parameter.fill_(0 if "bias" in name else 1 / 31 if "coder" in name else 1)
    return generator.double()


@pytest.mark.parametrize("make", [Generator, GeneratorPlus])
def test_the_context_is_the_receptive_field(make):
    levels = 11 if make is Generator else 5
    generator = one_channel(make(channels=(1,) * levels))
    side = generator.context + generator.hop
    code = torch.zeros(1, 1, 2 * side // generator.hop).double()
    reach = 0
    for middle in (side, side + generator.hop // 2, side + generator.hop - 1):
        wave = torch.full((1, 1, 2 * side), 1e-3).double().requires_grad_()
        generator.core(wave, code)[0, 0, middle].backward()
        heard = wave.grad[0, 0].nonzero()
        reach = max(reach, int((heard - middle).abs().max()))
    assert 0.85 * generator.context < reach <= generator.context


@both_generators
def test_a_chunk_with_its_context_gives_the_same_samples(make):
    generator = lively(make()).double()
    hop, context = generator.hop, generator.context
    wave = 0.3 * torch.randn(1, 1, 2 * context + 8 * hop).double()
    steps = torch.zeros(1, generator.decoder[0].in_channels // 2, 1).double()
    whole = generator(wave, steps.repeat(1, 1, wave.shape[-1] // hop))
    start, stop = 2 * hop, 2 * hop + 2 * context + 3 * hop
    chunk = generator(wave[..., start:stop], steps.repeat(1, 1, (stop - start) // hop))
    inner = slice(start + context, stop - context)
    assert whole[..., inner].std() > 0.01
    assert torch.allclose(chunk[..., context:-context], whole[..., inner], atol=1e-7)


@both_generators
def test_losses_see_the_output_of_the_core(make):
    generator = lively(make())
    noisy, z = torch.randn(2, 1, WINDOW), torch.randn(2, generator.decoder[0].in_channels // 2, 1)
    z = z.repeat(1, 1, WINDOW // generator.hop)
    core = generator.core(preemphasis(noisy), z)
    assert torch.allclose(preemphasis(generator(noisy, z)), core, atol=1e-5)
    assert core.abs().max() <= 1


@both_generators
def test_the_noise_comes_from_torchs_generator(make):
    generator, noisy = lively(make()), torch.randn(1, 1, WINDOW)
    torch.manual_seed(1)
    first = generator(noisy)
    assert not torch.allclose(generator(noisy), first)
    torch.manual_seed(1)
    assert torch.equal(generator(noisy), first)


@both_generators
@pytest.mark.parametrize("make_judge", JUDGES, ids=["by segan", "by segan+"])
def test_gradients_reach_every_parameter(make, make_judge):
    generator, judge, objective = make(), make_judge(), LeastSquares()
    noisy, clean = torch.randn(2, 4, 1, WINDOW)
    estimate = generator(noisy)
    objective.judge(judge(clean, given=noisy), judge(estimate.detach(), given=noisy)).backward()
    distance = 100 * PreEmphasizedL1()(estimate, clean)
    parameters = [*generator.parameters()]
    fool = objective.fool(judge(estimate, given=noisy))
    adversarial = torch.autograd.grad(fool, parameters, retain_graph=True)
    supervised = torch.autograd.grad(distance, parameters)
    for gradient in [*adversarial, *supervised, *(p.grad for p in judge.parameters())]:
        assert torch.isfinite(gradient).all() and gradient.abs().sum() > 0


@both_judges
def test_a_score_depends_on_the_sample_and_on_the_condition(make):
    judge = lively(make())
    clean, noisy = torch.randn(2, 4, 1, WINDOW)
    judge(clean, given=noisy)
    judge.eval()
    score = judge(clean, given=noisy)
    assert not torch.allclose(judge(noisy, given=noisy), score)
    assert not torch.allclose(judge(clean, given=clean), score)
    assert not torch.allclose(judge(noisy, given=clean), score)


@both_judges
def test_a_judge_hears_pre_emphasized_waves(make):
    judge = lively(make())
    plain = copy.deepcopy(judge)
    plain.coefficient = 0
    clean, noisy = torch.randn(2, 4, 1, WINDOW)
    judge(clean, given=noisy)
    plain.load_state_dict(judge.state_dict())
    expected = plain.eval()(preemphasis(clean), given=preemphasis(noisy))
    assert torch.allclose(judge.eval()(clean, given=noisy), expected, atol=1e-5)


def test_a_score_depends_on_no_other_wave():
    judge = lively(JUDGES[0]())
    judge.set_reference(*torch.randn(2, 3, 1, WINDOW))
    clean, noisy = torch.randn(2, 5, 1, WINDOW)
    together = judge(clean, given=noisy)
    alone = [judge(c[None], given=n[None]) for c, n in zip(clean, noisy, strict=True)]
    assert together.shape == (5, 1)
    assert torch.allclose(torch.cat(alone), together, atol=1e-5)


def test_a_score_depends_on_the_reference():
    judge = lively(JUDGES[0]())
    clean, noisy = torch.randn(2, 5, 1, WINDOW)
    first = judge(clean, given=noisy)  # which becomes the reference
    assert torch.equal(judge(clean, given=noisy), first)
    judge.set_reference(clean * 2 + 1, noisy)
    assert not torch.allclose(judge(clean, given=noisy), first)


@both_judges
def test_a_checkpoint_keeps_the_scores(make, tmp_path):
    judge, restored = lively(make()), copy.deepcopy(make())
    clean, noisy = torch.randn(2, 4, 1, WINDOW)
    judge(clean, given=noisy)
    torch.save(judge.state_dict(), tmp_path / "judge.pt")
    restored.load_state_dict(torch.load(tmp_path / "judge.pt", weights_only=True))
    clean, noisy = torch.randn(2, 2, 1, WINDOW)
    expected = judge.eval()(clean, given=noisy)
    assert torch.equal(restored.eval()(clean, given=noisy), expected)


@both_judges
def test_features_are_the_levels_of_the_batch_alone(make):
    judge = make()
    features = judge.features(*torch.randn(2, 4, 1, WINDOW))
    assert [len(f) for f in features] == [4] * len(features)
    lengths = [f.shape[-1] for f in features]
    assert lengths == ([64, 32, 16] if len(lengths) == 3 else [32, 8])


@both_judges
def test_another_length_is_refused(make):
    with pytest.raises(ValueError, match="judges 128 samples, not 100"):
        make()(*torch.randn(2, 4, 1, 100))


def test_levels_are_rolled_either_way_in_training_alone():
    judge = lively(DiscriminatorPlus(channels=(4,), kernel=7, window=64, hidden=(6, 5), shift=3))
    clean, noisy = torch.randn(2, 4, 1, 64)
    rolled = {round(judge(clean, given=noisy).sum().item(), 4) for _ in range(100)}
    assert len(rolled) == 6  # 1, 2 or 3 steps, left or right
    judge.eval()
    assert torch.equal(judge(clean, given=noisy), judge(clean, given=noisy))


def test_the_distance_is_l1_of_pre_emphasized_waves():
    estimate, target = torch.randn(2, 3, 1, 50)
    expected = F.l1_loss(preemphasis(estimate), preemphasis(target))
    assert torch.allclose(PreEmphasizedL1()(estimate, target), expected)


def test_weights_start_as_in_the_code():
    generator, judge = Generator(channels=(16, 32, 32)), Discriminator(channels=(16, 32, 32))
    for layer in [*generator.encoder, *generator.decoder, *judge.levels]:
        assert layer.bias is None
        assert layer.weight.abs().max() <= 0.04
        assert layer.weight.std().item() == pytest.approx(
            0.02 * 0.88, rel=0.1
        )  # cut at two deviations
    assert all((prelu.weight == 0).all() for prelu in generator.encoder_prelus)
    plus = GeneratorPlus(channels=(16, 32))
    assert all((alpha == 1).all() for alpha in plus.alphas)
    assert plus.encoder[1].weight.std().item() == pytest.approx(0.02, rel=0.1)
