import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm

from gan.layers import MinibatchDiscrimination, Noisy, Reference, VirtualBatchNorm
from gan.schedules import Decay


def test_identical_samples_are_as_close_as_can_be():
    layer = MinibatchDiscrimination(features=6, kernels=4, width=3)
    x = torch.randn(1, 6).repeat(5, 1)
    assert torch.allclose(layer(x), torch.cat([x, torch.full((5, 4), 5.0)], 1))


def test_distant_samples_are_close_to_themselves_alone():
    layer = MinibatchDiscrimination(features=6, kernels=4, width=3)
    out = layer(torch.randn(5, 6) * 1e4)
    assert torch.allclose(out[:, 6:], torch.ones(5, 4))


def test_closeness_by_hand():
    layer = MinibatchDiscrimination(features=1, kernels=1, width=2)
    layer.projection.data.copy_(torch.tensor([[[1.0, -2.0]]]))
    out = layer(torch.tensor([[0.0], [1.0]]))  # |1| + |-2| apart
    assert out[:, 1].tolist() == pytest.approx([1 + 2.718281828**-3] * 2)


@pytest.mark.parametrize("shape", [(8, 3), (8, 3, 5), (8, 3, 4, 2)])
def test_the_reference_is_normalized_as_by_batch_norm(shape):
    norm = VirtualBatchNorm(3)
    x = torch.randn(shape) * 3 + 1
    expected = batch_norm(x, None, None, norm.weight, norm.bias, training=True, eps=norm.epsilon)
    assert torch.allclose(norm(x, references=8), expected, atol=1e-5)


def test_a_sample_is_normalized_as_one_more_of_the_reference():
    norm = VirtualBatchNorm(2)
    nn.init.ones_(norm.weight)
    reference, x = torch.randn(4, 2, 6), torch.randn(3, 2, 6) * 2 + 3
    out = norm(torch.cat([reference, x]), references=4)
    for sample, normal in zip(x, out[4:], strict=True):
        joined = torch.cat([reference, sample[None]])
        expected = batch_norm(joined, None, None, training=True, eps=norm.epsilon)
        assert torch.allclose(normal, expected[-1], atol=1e-5)


def test_gradients_reach_the_weights_through_the_reference():
    norm = VirtualBatchNorm(2)
    reference = torch.randn(4, 2, 6, requires_grad=True)
    norm(torch.cat([reference, torch.randn(3, 2, 6)]), references=4)[4:].square().sum().backward()
    assert (reference.grad != 0).all()


def test_the_first_training_batch_becomes_the_reference():
    reference = Reference(size=3)
    first, second = torch.randn(2, 5, 4)
    assert torch.equal(reference(first), torch.cat([first[:3], first]))
    assert torch.equal(reference(second), torch.cat([first[:3], second]))
    reference.set(second)
    assert torch.equal(reference(first), torch.cat([second[:3], first]))


def test_the_reference_keeps_no_hold_on_the_batch():
    reference, first = Reference(size=3), torch.ones(5, 4)
    reference(first)
    first.zero_()
    assert torch.equal(reference.batch, torch.ones(3, 4))


def test_evaluation_without_a_reference_is_refused():
    with pytest.raises(RuntimeError, match="needs a reference batch"):
        Reference(size=3).eval()(torch.randn(5, 4))


def test_a_reference_is_restored_into_a_new_module():
    trained, fresh = nn.Sequential(Reference(3)), nn.Sequential(Reference(3))
    trained(torch.randn(5, 4))
    fresh.load_state_dict(trained.state_dict())
    x = torch.randn(2, 4)
    assert torch.equal(trained.eval()(x), fresh.eval()(x))


class Recorder(nn.Module):
    """A discriminator that keeps what it was shown."""

    def forward(self, x, given=None):
        self.x, self.given = x, given
        return x.mean(1)

    def features(self, x, given=None):
        return [self(x, given)]


def test_noise_follows_its_schedule_by_steps_of_three_calls():
    inner = Recorder()
    noisy = Noisy(inner, Decay(start=1.0, factor=0.1, every=1))
    x = torch.zeros(100, 100)
    measured = []
    for _ in range(7):
        noisy(x)
        measured.append(inner.x.std().item())
    assert measured == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01], rel=0.05)


@pytest.mark.parametrize("noisy_given", [False, True])
def test_the_condition_is_noisy_where_asked_for(noisy_given):
    inner = Recorder()
    noisy = Noisy(inner, Decay(1.0, 1.0, 1), noisy_given=noisy_given)
    given = torch.zeros(10, 10)
    noisy(torch.zeros(10, 10), given=given)
    assert torch.equal(inner.given, given) is not noisy_given
    noisy.features(torch.zeros(10, 10), given=given)
    assert torch.equal(inner.given, given) is not noisy_given


def test_evaluation_is_free_of_noise_and_does_not_age_it():
    noisy = Noisy(Recorder(), Decay(1.0, 0.5, 1)).eval()
    x = torch.randn(4, 4)
    assert torch.equal(noisy(x), x.mean(1))
    assert noisy.calls == 0


def test_noise_resumes_where_it_was():
    before, after = (Noisy(Recorder(), Decay(1.0, 0.5, 2)) for _ in range(2))
    x = torch.zeros(3, 3)
    for _ in range(10):
        before(x)
    after.load_state_dict(before.state_dict())
    state = torch.get_rng_state()
    expected = before(x)
    torch.set_rng_state(state)
    assert torch.equal(after(x), expected)
