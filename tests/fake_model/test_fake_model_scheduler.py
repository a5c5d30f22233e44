"""The scheduler against its formula."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fake_model.denoiser import Denoiser
from fake_model.scheduler import FlowMatchEulerScheduler


@pytest.mark.parametrize("shift", [1.0, 2.2, 3.0])
@pytest.mark.parametrize("steps", [1, 8, 30])
def test_sigmas_follow_the_shift(shift: float, steps: int) -> None:
    scheduler = FlowMatchEulerScheduler(shift=shift)
    scheduler.set_timesteps(steps)
    linear = np.linspace(1, 0, steps + 1)
    assert np.allclose(scheduler.sigmas, shift * linear / (1 + (shift - 1) * linear))
    assert np.allclose(scheduler.timesteps, np.array(scheduler.sigmas[:-1]) * 1000)
    assert scheduler.sigmas[0] == 1.0
    assert scheduler.sigmas[-1] == 0.0
    assert all(first > second for first, second in itertools.pairwise(scheduler.sigmas))


def test_step_is_the_euler_step() -> None:
    scheduler = FlowMatchEulerScheduler(shift=2.0)
    scheduler.set_timesteps(5)
    sample = np.full((3, 2, 2), 0.5, dtype=np.float32)
    velocity = np.full((3, 2, 2), 2.0, dtype=np.float32)
    moved = scheduler.step(velocity, 1, sample)
    assert np.allclose(moved, 0.5 + (scheduler.sigmas[2] - scheduler.sigmas[1]) * 2.0)
    assert moved.dtype == np.float32


def test_exact_velocity_leads_along_the_straight_path() -> None:
    scheduler = FlowMatchEulerScheduler(shift=3.0)
    scheduler.set_timesteps(7)
    data, noise = np.float32(0.25), np.float32(-1.5)
    sample = np.full((3, 1, 1), noise, dtype=np.float32)
    for index in range(7):
        sample = scheduler.step(np.full_like(sample, noise - data), index, sample)
        sigma = scheduler.sigmas[index + 1]
        assert np.allclose(sample, (1 - sigma) * data + sigma * noise, atol=1e-6)


def test_denoiser_arrives_at_the_target_from_any_noise() -> None:
    target = (np.arange(3 * 70 * 90).reshape(3, 70, 90) % 128 / 64 - 1).astype(np.float32)
    scheduler = FlowMatchEulerScheduler(shift=2.2)
    scheduler.set_timesteps(12)
    denoiser = Denoiser(target)
    sample = target[:, ::-1, ::-1].copy()
    for index in range(12):
        sample = scheduler.step(denoiser(sample, scheduler.sigmas[index]), index, sample)
    assert np.allclose(sample, target, atol=1e-4)


def test_denoiser_guesses_coarsely_while_sigma_is_high() -> None:
    target = np.indices((64, 96)).sum(axis=0)[None].repeat(3, axis=0).astype(np.float32) % 2
    denoiser = Denoiser(target)
    spread = [float(denoiser.estimate(sigma).std()) for sigma in (0.95, 0.6, 0.3, 0.1)]
    assert spread[0] < 0.01
    assert spread[-1] == pytest.approx(0.5)
    assert spread == sorted(spread)
