"""Running statistics of inputs."""

from __future__ import annotations

import pytest
import torch

from rher_pl.networks.normalizer import RunningNormalizer


def test_normalizer_equals_the_statistics_of_all_data_however_it_is_split():
    torch.manual_seed(0)
    data = torch.randn(300, 3) * torch.tensor([1.0, 5.0, 0.1]) + torch.tensor([0.0, 100.0, 1.0])
    normalizer = RunningNormalizer(3)
    for part in data.split([1, 99, 200]):
        normalizer.update(part)
    z = normalizer(data)
    reference = ((data - data.mean(0)) / data.std(0, unbiased=False)).clamp(-5, 5)
    assert torch.allclose(z, reference, atol=1e-3)


def test_normalizer_ignores_masked_numbers_and_bounds_the_deviation():
    normalizer = RunningNormalizer(2, min_std=0.01)
    data = torch.tensor([[1.0, 7.0], [1.0, 0.0], [1.0, 9.0]])
    normalizer.update(data, torch.tensor([[True, True], [True, False], [True, True]]))
    assert normalizer.mean.tolist() == [1.0, 8.0]
    assert normalizer(torch.tensor([[1.005, 8.0]])).tolist() == [[pytest.approx(0.5, abs=1e-3), 0]]
