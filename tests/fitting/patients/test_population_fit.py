"""The population fit, against closed forms, exact integration, published estimates, and the truth of simulated data."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from perdure.fitting.patients.cellular_kinetics import tisagenlecleucel
from perdure.fitting.patients.data import Subject, read_measurements
from perdure.fitting.patients.population import PopulationFit, fit_population
from perdure.fitting.patients.residual import Residual
from perdure.fitting.patients.saem import estimate
from perdure.fitting.patients.structure import PopulationModel
from perdure.parameters.errors import FitError, UnknownNameError

THEOPHYLLINE = Path(__file__).parent.parent.parent / "data" / "theophylline.csv"
"""12 subjects, 132 concentrations (mg/L), dose in mg/kg: Boeckmann, Sheiner and Beal 1994, the data set Theoph of R."""

LIMIT = 50.0  # copies/ug; assumed, in the range of qPCR assays
DAYS = np.array([1, 4, 7, 9, 11, 14, 17, 21, 28, 60, 90, 180, 270, 365.0])


class Line:
    """log(value) is a straight line of time in the logs of the individual parameters: a linear mixed model."""

    ids = ("intercept", "slope")

    def predict(self, values: np.ndarray, subjects: Sequence[Subject]) -> list[np.ndarray]:
        return [np.log(row[0]) + np.log(row[1]) * one.time for row, one in zip(values, subjects, strict=True)]


class Decline:
    """Exponential decline."""

    ids = ("start", "rate")

    def predict(self, values: np.ndarray, subjects: Sequence[Subject]) -> list[np.ndarray]:
        return [row[0] * np.exp(-row[1] * one.time) for row, one in zip(values, subjects, strict=True)]


class Absorption:
    """One compartment, first-order absorption; hours, and litres per kg and hour (SSfol of Pinheiro and Bates 2000)."""

    ids = ("ke", "ka", "cl")

    def predict(self, values: np.ndarray, subjects: Sequence[Subject]) -> list[np.ndarray]:
        pairs = zip(values, subjects, strict=True)
        return [absorption(row, one.doses[0][1], 24.0 * one.time) for row, one in pairs]


def absorption(values: Sequence[np.ndarray], dose: np.ndarray | float, time: np.ndarray) -> np.ndarray:
    ke, ka, cl = values
    return dose * ke * ka / (cl * (ka - ke)) * (np.exp(-ke * time) - np.exp(-ka * time))


def many(time: np.ndarray, values: np.ndarray, kind: str, limit: float = -np.inf) -> list[Subject]:
    return [
        Subject(str(k), time, np.full(len(time), kind), np.maximum(row, limit), row < limit)
        for k, row in enumerate(values)
    ]


def treated(n: int, seed: int) -> list[Subject]:
    """Patients drawn from the published population of tisagenlecleucel, with a limit of quantification."""
    model, rng = tisagenlecleucel(), np.random.default_rng(seed)
    values = model.values(rng.multivariate_normal(np.zeros(6), model.omega, size=n))
    curves = np.array(model.structure.predict(values, many(DAYS, np.ones((n, len(DAYS))), "transgene")))
    return many(DAYS, model.residual["transgene"].simulate(curves, rng), "transgene", LIMIT)


def from_afar(model: PopulationModel) -> PopulationModel:
    """A poor first guess."""
    typical = model.typical * np.array([0.5, 1.3, 0.3, 2.0, 0.5, 2.0])
    return replace(model, typical=typical, omega=np.eye(6), residual={"transgene": Residual("log", 1.0)})


def away_from_truth(fit: PopulationFit, truth: PopulationModel) -> dict[str, float]:
    """For each typical value, variance and error how many of its standard errors it is off."""
    errors, off = fit.standard_errors, {}
    for k, name in enumerate(truth.structure.ids):
        off[name] = np.log(fit.model.typical[k] / truth.typical[k]) / errors[f"log typical {name}"]
        # On the log scale, where an estimated variance is nearly normal.
        ratio = np.log(fit.model.omega[k, k] / truth.omega[k, k])
        off[f"omega {name}"] = ratio * fit.model.omega[k, k] / errors[f"omega {name} {name}"]
    ratio = np.log(fit.model.residual["transgene"].additive / truth.residual["transgene"].additive)
    return off | {"error": ratio / errors["log residual transgene additive"]}


@pytest.fixture(scope="module")
def linear() -> tuple[list[Subject], PopulationFit]:
    rng, time = np.random.default_rng(4), np.linspace(0.0, 2.0, 5)
    logs = rng.multivariate_normal([1.0, 0.5], [[0.5, 0.1], [0.1, 0.2]], size=40)
    data = many(time, logs[:, :1] + logs[:, 1:] * time + 0.3 * rng.standard_normal((40, 5)), "y")
    start = PopulationModel(Line(), np.exp([0.5, 0.0]), np.eye(2), {"y": Residual("additive", 1.0)})
    return data, fit_population(start, data, correlated=True, seed=3, explore=60, smooth=120, draws=1000)


def linear_likelihood(numbers: np.ndarray, data: list[Subject]) -> float:
    """Exact, for means, the Cholesky factor of omega and the log of the residual SD."""
    design = np.column_stack([np.ones(5), data[0].time])
    root = np.array([[numbers[2], 0.0], [numbers[3], numbers[4]]])
    covariance = design @ root @ root.T @ design.T + np.exp(2.0 * numbers[5]) * np.eye(5)
    return float(np.sum(multivariate_normal.logpdf([one.value for one in data], design @ numbers[:2], covariance)))


def test_a_linear_mixed_model_is_fitted_as_by_exact_maximum_likelihood(
    linear: tuple[list[Subject], PopulationFit],
) -> None:
    data, fit = linear
    best = minimize(lambda x: -linear_likelihood(x, data), [1.0, 0.5, 0.7, 0.0, 0.4, -1.0], method="BFGS")
    root = np.array([[best.x[2], 0.0], [best.x[3], best.x[4]]])
    errors = fit.standard_errors
    np.testing.assert_allclose(np.log(fit.model.typical), best.x[:2], atol=0.1 * errors["log typical intercept"])
    off = np.abs(fit.model.omega - root @ root.T)
    assert off[0, 0] < 0.2 * errors["omega intercept intercept"]
    assert off[0, 1] < 0.2 * errors["omega slope intercept"]
    assert off[1, 1] < 0.2 * errors["omega slope slope"]
    assert np.log(fit.model.residual["y"].additive) == pytest.approx(best.x[5], abs=0.01)
    root = np.linalg.cholesky(fit.model.omega)
    here = [*np.log(fit.model.typical), root[0, 0], root[1, 0], root[1, 1], np.log(fit.model.residual["y"].additive)]
    exact = linear_likelihood(np.array(here), data)
    assert fit.log_likelihood == pytest.approx(exact, abs=4.0 * fit.log_likelihood_error)
    assert exact == pytest.approx(-best.fun, abs=0.02)
    assert fit.log_likelihood_error < 0.2


def test_its_standard_errors_are_those_of_the_exact_information(linear: tuple[list[Subject], PopulationFit]) -> None:
    data, fit = linear
    assert fit.information_by == "Louis"
    assert fit.parameters == len(fit.names) == 6

    def exact(numbers: np.ndarray) -> float:
        """The same likelihood of the numbers that `names` lists."""
        omega = np.array([[numbers[2], numbers[3]], [numbers[3], numbers[4]]])
        root = np.linalg.cholesky(omega)
        return linear_likelihood(np.array([*numbers[:2], root[0, 0], root[1, 0], root[1, 1], numbers[5]]), data)

    omega = fit.model.omega
    here = np.array([*np.log(fit.model.typical), omega[0, 0], omega[1, 0], omega[1, 1]])
    here = np.append(here, np.log(fit.model.residual["y"].additive))
    size, information = 1e-3, np.empty((6, 6))
    for i in range(6):
        for j in range(6):
            a, b = size * np.eye(6)[i], size * np.eye(6)[j]
            corners = exact(here + a + b) - exact(here + a - b) - exact(here - a + b) + exact(here - a - b)
            information[i, j] = -corners / (4.0 * size**2)
    expected = np.sqrt(np.diag(np.linalg.inv(information)))
    np.testing.assert_allclose(list(fit.standard_errors.values()), expected, rtol=0.15)
    assert fit.aic == pytest.approx(12.0 - 2.0 * fit.log_likelihood)
    assert fit.bic == pytest.approx(6.0 * np.log(40.0) - 2.0 * fit.log_likelihood)


def test_the_balanced_random_intercept_has_its_closed_form() -> None:
    """Searle, Casella and McCulloch 1992: sigma^2 = within mean square, omega = (1 - 1/a) MSB / n - sigma^2 / n."""
    rng, (a, n) = np.random.default_rng(9), (50, 4)
    value = 2.0 + 0.6 * rng.standard_normal((a, 1)) + 0.5 * rng.standard_normal((a, n))
    within = ((value - value.mean(axis=1, keepdims=True)) ** 2).sum() / (a * (n - 1))
    between = (value.mean(axis=1) - value.mean()).var() - within / n
    start = PopulationModel(Line(), np.ones(2), np.diag([1.0, 0.0]), {"y": Residual("additive", 1.0)})
    data = many(np.arange(4.0), value, "y")
    found = estimate(start, data, held=["slope"], explore=60, smooth=150, seed=1)
    assert np.log(found.model.typical) == pytest.approx([value.mean(), 0.0], abs=0.01)
    assert found.model.omega[0, 0] == pytest.approx(between, rel=0.03)
    assert found.model.residual["y"].additive == pytest.approx(np.sqrt(within), rel=0.01)


def theophylline_likelihood(numbers: np.ndarray, data: Sequence[Subject], fit: PopulationFit) -> float:
    """By Gauss-Hermite quadrature in two dimensions, its nodes placed where the data have their weight.

    `numbers` are log ke, log ka, log cl, and the logs of SD(log ka), SD(log cl) and the residual SD; ke has no spread.
    """
    ke, ka, cl, (sd_ka, sd_cl, error) = np.exp(numbers[0]), numbers[1], numbers[2], np.exp(numbers[3:])
    time, value = (np.array([getattr(one, name) for one in data])[:, None] for name in ("time", "value"))
    dose = np.array([one.doses[0][1] for one in data])[:, None, None]
    node, weight = np.polynomial.hermite_e.hermegauss(15)
    nodes = np.stack(np.meshgrid(node, node, indexing="ij"), axis=-1).reshape(-1, 2)
    log_weight = np.add.outer(np.log(weight), np.log(weight)).ravel() + 0.5 * (nodes**2).sum(axis=1)
    root = np.linalg.cholesky(fit.eta_covariance[:, 1:, 1:])
    centre = np.log(fit.model.typical[1:]) + fit.eta_mean[:, 1:]
    phi = np.moveaxis(centre[:, None] + nodes @ root.swapaxes(1, 2), 2, 0)
    z = (value - absorption((ke, *np.exp(phi[..., None])), dose, 24.0 * time)) / error
    each = -0.5 * (z**2).sum(axis=2) - time.shape[2] * np.log(error * np.sqrt(2.0 * np.pi))
    prior = -0.5 * (((phi[0] - ka) / sd_ka) ** 2 + ((phi[1] - cl) / sd_cl) ** 2) - np.log(2.0 * np.pi * sd_ka * sd_cl)
    return float((logsumexp(each + prior + log_weight, axis=1) + np.linalg.slogdet(root)[1]).sum())


def test_theophylline_gives_the_published_estimates_and_the_exact_ones() -> None:
    """Pinheiro and Bates 2000, section 8.2: fm3Theo.nlme, random effects on log ka and log cl, additive error."""
    data = read_measurements(THEOPHYLLINE)
    assert sum(len(one.time) for one in data.subjects) == 132
    start = PopulationModel(
        Absorption(), np.array([0.1, 1.5, 0.04]), np.diag([0.0, 0.5, 0.3]), {"theophylline": Residual("additive", 1.0)}
    )
    fit = fit_population(start, data.subjects, explore=120, smooth=120, sweeps=150, draws=1000, seed=1)
    spread, error = np.sqrt(np.diag(fit.model.omega)), fit.model.residual["theophylline"].additive
    # nlme linearises around the individuals, so that its maximum is near the exact one, not on it.
    np.testing.assert_allclose(np.log(fit.model.typical), [-2.4547, 0.4657, -3.2272], atol=0.025)
    np.testing.assert_allclose(spread, [0.0, 0.644, 0.167], atol=0.03)
    assert error == pytest.approx(0.709, abs=0.005)
    found = np.log([*fit.model.typical, *spread[1:], error])
    exact = minimize(lambda x: -theophylline_likelihood(x, data.subjects, fit), found, method="BFGS")
    se = fit.standard_errors
    errors = [*(se[f"log typical {name}"] for name in Absorption.ids), 0.22, 0.22, 0.068]
    assert (np.abs(found - exact.x) < 0.15 * np.array(errors)).all()
    assert fit.log_likelihood == pytest.approx(theophylline_likelihood(found, data.subjects, fit), abs=0.1)


def test_without_any_spread_it_is_nonlinear_least_squares() -> None:
    data = read_measurements(THEOPHYLLINE).subjects
    guess = np.array([0.1, 1.5, 0.04])
    start = PopulationModel(Absorption(), guess, np.zeros((3, 3)), {"theophylline": Residual("additive", 1.0)})
    fit = fit_population(start, data, explore=30, smooth=20, sweeps=2)

    def squares(logs: np.ndarray) -> float:
        curves = Absorption().predict(np.tile(np.exp(logs), (12, 1)), data)
        return float(sum(((one.value - curve) ** 2).sum() for one, curve in zip(data, curves, strict=True)))

    best = minimize(squares, np.log(guess))
    np.testing.assert_allclose(np.log(fit.model.typical), best.x, atol=1e-3)
    assert fit.model.residual["theophylline"].additive == pytest.approx(np.sqrt(best.fun / 132.0), rel=1e-4)
    assert fit.log_likelihood == pytest.approx(-66.0 * (np.log(2.0 * np.pi * best.fun / 132.0) + 1.0), abs=1e-3)


def test_the_limit_as_a_probability_is_less_biased_than_dropping_what_lies_below_it() -> None:
    rng, truth = np.random.default_rng(2), np.array([1000.0, 0.03])
    time = np.array([5.0, 30.0, 60.0, 90.0, 120.0])
    values = truth * np.exp(np.sqrt([0.4, 0.3]) * rng.standard_normal((150, 2)))
    curves = np.array(Decline().predict(values, many(time, np.ones((150, 5)), "car_t")))
    data = many(time, curves * np.exp(0.4 * rng.standard_normal(curves.shape)), "car_t", limit=80.0)
    assert 0.27 < np.mean([one.below for one in data]) < 0.4
    start = PopulationModel(Decline(), truth * [2.0, 0.5], np.eye(2), {"car_t": Residual("log", 0.8)})
    seen = [one for one in data if not one.below.all()]
    dropped = [Subject(s.id, s.time[~s.below], s.kind[~s.below], s.value[~s.below], s.below[~s.below]) for s in seen]
    kept, lost = (estimate(start, part, explore=120, smooth=120, seed=1).model for part in (data, dropped))
    # The mean of 150 log rates has a standard error of 0.045 from the spread between the patients alone.
    assert abs(np.log(kept.typical[1] / truth[1])) < 0.12
    assert np.log(lost.typical[1] / truth[1]) < -0.15
    assert abs(kept.omega[1, 1] - 0.3) < abs(lost.omega[1, 1] - 0.3)


def test_published_cellular_kinetics_are_recovered_from_simulated_patients() -> None:
    truth = tisagenlecleucel()
    fit = fit_population(from_afar(truth), treated(60, seed=5), explore=120, smooth=80, sweeps=150, draws=500, seed=1)
    off = away_from_truth(fit, truth)
    assert max(abs(x) for x in off.values()) < 3.5
    assert sum(abs(x) < 2.0 for x in off.values()) >= 10


@pytest.mark.long
def test_over_many_data_sets_the_published_kinetics_are_recovered_without_bias_and_with_honest_errors() -> None:
    truth = tisagenlecleucel()
    every = [away_from_truth(fit_population(from_afar(truth), treated(90, s), seed=s), truth) for s in range(12)]
    off = np.array([list(one.values()) for one in every])
    # The extra third of a standard error is for variances, which maximum likelihood finds too small in few patients.
    assert (np.abs(off.mean(axis=0)) < 3.0 / np.sqrt(len(off)) + 0.33).all()
    # 0.87 was measured with these seeds and 0.96 with the next twelve; numbers of one data set go up and down together.
    assert 0.8 < np.mean(np.abs(off) < 1.96) <= 1.0


def test_the_same_seed_gives_the_same_fit_and_progress_is_told() -> None:
    data, seen = treated(10, seed=3), []
    first, second = (
        estimate(tisagenlecleucel(), data, explore=5, smooth=5, seed=2, progress=lambda *now: seen.append(now))
        for _ in range(2)
    )
    assert np.array_equal(first.trace, second.trace)
    assert seen[:10] == [(k, 10) for k in range(1, 11)]
    assert first.names[:2] == ("typical c_max", "typical t_max")
    assert first.trace.shape == (10, len(first.names))


def test_what_cannot_be_fitted_says_why() -> None:
    model, data = tisagenlecleucel(), treated(3, seed=1)
    with pytest.raises(UnknownNameError, match="Did you mean 'c_max'"):
        estimate(model, data, no_spread=["cmax"])
    with pytest.raises(FitError, match="population of 1 subject"):
        estimate(model, data[:1])
    early = [*data, *many(np.array([-5.0, 3.0]), np.full((1, 2), 100.0), "transgene")]
    with pytest.raises(FitError, match="cannot predict the data near the typical values"):
        estimate(model, early)
