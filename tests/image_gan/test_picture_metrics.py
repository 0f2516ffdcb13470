import math

import numpy as np
import pytest
import torch

from image_gan import metrics

torchmetrics = pytest.importorskip("torchmetrics")


def picture(seed=0, shape=(3, 24, 20)):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def features(count, mean=0.0, spread=1.0, size=4, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(mean + spread * rng.standard_normal((count, size)))


def gaussian_windows():
    """Return Wang's window, 11 x 11, sigma 1.5, sum 1."""
    x = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    return np.outer(x, x) / np.outer(x, x).sum()


def ssim_by_hand(one, other):
    """Return equation 13 of Wang et al. 2004, averaged over windows and channels."""
    window, values = gaussian_windows(), []
    for x, y in zip(one.numpy(), other.numpy(), strict=True):
        for row in range(x.shape[0] - 10):
            for column in range(x.shape[1] - 10):
                a, b = (z[row : row + 11, column : column + 11] for z in (x, y))
                means = (window * a).sum(), (window * b).sum()
                spreads = (window * (a - means[0]) ** 2).sum(), (window * (b - means[1]) ** 2).sum()
                shared = (window * (a - means[0]) * (b - means[1])).sum()
                value = (2 * means[0] * means[1] + 0.01**2) * (2 * shared + 0.03**2)
                value /= (means[0] ** 2 + means[1] ** 2 + 0.01**2) * (sum(spreads) + 0.03**2)
                values.append(value)
    return np.mean(values)


# Of a picture and its target


def test_a_constant_difference_has_the_scores_worked_out_by_hand():
    target = 0.8 * picture()
    assert metrics.l1(target + 0.1, target) == pytest.approx(0.1)
    assert metrics.psnr(target + 0.1, target) == pytest.approx(20.0)  # 10 log10(1 / 0.1^2)


def test_l1_counts_every_channel_and_pixel_alike():
    target = torch.zeros(2, 3, 4)
    estimate = target.clone()
    estimate[0, 1, 2] = 1.0
    assert metrics.l1(estimate, target) == pytest.approx(1 / 24)


def test_identical_pictures_reach_the_best_of_every_score():
    assert metrics.l1(picture(), picture()) == 0
    assert metrics.psnr(picture(), picture()) == math.inf
    assert metrics.ssim(picture(), picture()) == pytest.approx(1)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_that_of_the_paper(channels):
    target = picture(0, (channels, 16, 14))
    estimate = 0.7 * target + 0.3 * picture(1, target.shape)
    assert metrics.ssim(estimate, target) == pytest.approx(ssim_by_hand(estimate, target), abs=1e-9)


def test_ssim_agrees_with_scikit_image():
    similarity = pytest.importorskip("skimage.metrics").structural_similarity
    target = picture()
    estimate = 0.6 * target + 0.4 * picture(1)
    expected = similarity(
        estimate.numpy(),
        target.numpy(),
        channel_axis=0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert metrics.ssim(estimate, target) == pytest.approx(expected, abs=1e-9)


def test_ssim_of_a_picture_smaller_than_its_window_is_undefined():
    assert math.isnan(metrics.ssim(picture(0, (3, 10, 40)), picture(1, (3, 10, 40))))
    assert math.isfinite(metrics.ssim(picture(0, (3, 11, 11)), picture(1, (3, 11, 11))))


def test_noise_costs_psnr_and_ssim_the_more_the_stronger_it_is():
    target = 0.5 * picture()
    scores = [
        (metrics.psnr(estimate, target), metrics.ssim(estimate, target))
        for estimate in (target + level * picture(1) for level in (0.01, 0.1, 0.5))
    ]
    assert scores == sorted(scores, reverse=True) and len(set(scores)) == 3


# Of luma, as super-resolution is measured


def eight_bits(seed):
    """Return a picture of 8 bits ``(3, H, W)``, and its values from 0 to 1."""
    levels = np.random.default_rng(seed).integers(0, 256, (3, 24, 20))
    return levels, torch.from_numpy(levels / 255)


def luma_by_hand(levels):
    """Return ITU-R BT.601's Y of 8 bits: 16 is black and 235 white; halves are rounded up."""
    red, green, blue = (levels / 255).astype(float)
    return np.floor(16 + 65.481 * red + 128.553 * green + 24.966 * blue + 0.5)


def test_luma_is_that_of_matlab():
    colors = {  # as rgb2ycbcr has them for 8 bits
        (0, 0, 0): 16,
        (255, 255, 255): 235,
        (255, 0, 0): 81,
        (0, 255, 0): 145,
        (0, 0, 255): 41,
        (128, 128, 128): 126,
    }
    for color, expected in colors.items():
        x = torch.tensor(color, dtype=torch.float64)[:, None, None] / 255
        assert float(255 * metrics.luma(x)) == pytest.approx(expected)
    grey = torch.tensor([[[7 / 255]]], dtype=torch.float64)
    assert float(255 * metrics.luma(grey)) == pytest.approx(7)  # a grey picture is its own
    with pytest.raises(ValueError, match="4 channels: luma is of grey or RGB"):
        metrics.luma(torch.zeros(4, 2, 2))


def test_psnr_of_y_is_worked_out_by_hand_and_leaves_the_border_out():
    (a, one), (b, other) = eight_bits(0), eight_bits(1)
    difference = luma_by_hand(a) - luma_by_hand(b)
    for border, seen in ((0, difference), (4, difference[4:-4, 4:-4])):
        expected = 10 * np.log10(255**2 / np.mean(seen**2))
        assert metrics.psnr_y(one, other, border) == pytest.approx(expected, abs=1e-9)
    spoilt = one.clone()
    spoilt[:, :4] = spoilt[:, -4:] = spoilt[:, :, :4] = spoilt[:, :, -4:] = 0.5
    assert metrics.psnr_y(spoilt, other, 4) == metrics.psnr_y(one, other, 4)
    assert metrics.psnr_y(spoilt, other, 3) != metrics.psnr_y(one, other, 3)


def test_ssim_of_y_is_that_of_the_luma():
    (a, one), (b, other) = eight_bits(0), eight_bits(1)
    lumas = [torch.from_numpy(luma_by_hand(x))[None, 4:-4, 4:-4] / 255 for x in (a, b)]
    assert metrics.ssim_y(one, other, 4) == pytest.approx(ssim_by_hand(*lumas), abs=1e-9)


def test_a_border_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="24 x 20 pixels, of which a border of 10 leaves nothing"):
        metrics.inside(picture(), 10)
    assert metrics.inside(picture(), 9).shape == (3, 6, 2)


# Of two sets


def whitened(count, size, seed):
    """Return features whose sample mean is 0 and covariance the unit matrix, to rounding."""
    x = features(count, size=size, seed=seed)
    x = x - x.mean(dim=0)
    covariance = x.T @ x / (count - 1)
    return x @ torch.linalg.inv(torch.linalg.cholesky(covariance)).T


def test_frechet_distance_of_gaussians_is_the_closed_form():
    """|m1 - m2|^2 + sum (s1 - s2)^2 where the covariances are diagonal."""
    one, other = whitened(50, 3, 0), whitened(60, 3, 1)
    mean, spread = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([2.0, 0.5, 1.0])
    distance = metrics.frechet_distance(one, other * spread + mean)
    assert distance == pytest.approx(1 + 4 + 0.25 + 1 + 0.25, abs=1e-6)


def test_frechet_distance_of_full_covariances_is_that_of_scipys_matrix_root():
    linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(0)
    one, other = (features(40, seed=n).numpy() @ rng.standard_normal((4, 4)) for n in (1, 2))
    covariances = [np.cov(x, rowvar=False) for x in (one, other)]
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    means = one.mean(0) - other.mean(0)
    expected = means @ means + np.trace(covariances[0] + covariances[1] - 2 * root)
    distance = metrics.frechet_distance(torch.from_numpy(one), torch.from_numpy(other))
    assert distance == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_a_set_and_itself_is_zero_also_with_fewer_pictures_than_features():
    few = features(6, size=20)
    assert metrics.frechet_distance(few, few) == pytest.approx(0, abs=1e-4)


def mmd_by_hand(x, y):
    """Return the unbiased squared MMD of all, by its definition."""
    kernel = [[(a @ b / len(a) + 1) ** 3 for b in (*x, *y)] for a in (*x, *y)]
    k, n, m = np.array(kernel), len(x), len(y)
    within = (k[:n, :n].sum() - np.trace(k[:n, :n])) / (n * (n - 1))
    within += (k[n:, n:].sum() - np.trace(k[n:, n:])) / (m * (m - 1))
    return within - 2 * k[:n, n:].mean()


def test_kernel_distance_is_the_definition_where_a_subset_is_all():
    one, other = features(9), features(9, mean=0.3, seed=1)
    expected = mmd_by_hand(one.numpy(), other.numpy())
    assert metrics.kernel_distance(one, other) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_has_no_bias():
    """Halves of one distribution are 0 apart on average, below it as often as above."""
    distances = [
        metrics.kernel_distance(features(30, seed=2 * n), features(30, seed=2 * n + 1))
        for n in range(30)
    ]
    assert abs(np.mean(distances)) < 3 * np.std(distances) / math.sqrt(30)
    assert min(distances) < 0 < max(distances)
    apart = metrics.kernel_distance(features(30), features(30, mean=1.0, seed=1))
    assert apart > 5 * np.std(distances)


@pytest.mark.parametrize("distance", [metrics.frechet_distance, metrics.kernel_distance])
def test_distances_know_no_order(distance):
    one, other = features(12), features(12, mean=0.5, seed=1)
    expected = distance(one, other)
    assert expected > 0
    shuffled = one[torch.randperm(12, generator=torch.Generator().manual_seed(1))]
    assert distance(shuffled, other) == pytest.approx(expected, rel=1e-9)
    assert distance(other, one) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_draws_the_same_subsets_again_and_leaves_torchs_state():
    one, other = features(40), features(9, mean=0.5, seed=1)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = metrics.kernel_distance(one, other)
    assert torch.equal(torch.rand(3), expected)
    assert metrics.kernel_distance(one, other) == first
    assert metrics.kernel_distance(one, other, seed=1) != first


def test_every_metric_says_which_way_is_better():
    lower = {name for name, column in metrics.COLUMNS.items() if not column.up}
    assert lower == {"l1", "lpips", "fid", "kid", "cycle_l1"}
