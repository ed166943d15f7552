"""One patient at a time: residual error, MAP estimate and diagnostics, against brute force and closed forms."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import minimize

from perdure.fitting.patients.cellular_kinetics import STEIN_2019, CellularKinetics, tisagenlecleucel
from perdure.fitting.patients.data import Subject
from perdure.fitting.patients.diagnostics import residuals, shrinkage, simulate_data, vpc
from perdure.fitting.patients.map_fit import fit_patients, individual_fit
from perdure.fitting.patients.observations import Rows
from perdure.fitting.patients.residual import Residual
from perdure.fitting.patients.structure import PopulationModel
from perdure.parameters.errors import FitError, InputError, RangeError, UnknownNameError

DAYS = np.array([1, 4, 7, 9, 11, 14, 17, 21, 28, 60, 90, 180, 270, 365.0])
LIMIT = 50.0
RESIDUALS = {
    "log": Residual("log", 0.5),
    "additive": Residual("additive", 2.0),
    "proportional": Residual("proportional", proportional=0.3),
    "combined": Residual("combined", 1.0, 0.2),
}


class Line:
    """log(value) is a straight line of time, in the logs of the individual parameters: everything is normal."""

    ids = ("intercept", "slope")

    def predict(self, values: np.ndarray, subjects: Sequence[Subject]) -> list[np.ndarray]:
        return [np.log(row[0]) + np.log(row[1]) * one.time for row, one in zip(values, subjects, strict=True)]


def subject(
    time: np.ndarray, value: np.ndarray, kind: str = "transgene", limit: float = -np.inf, name: str = "a"
) -> Subject:
    below = value < limit
    return Subject(name, time, np.full(len(time), kind), np.where(below, limit, value), below)


def patients(model: PopulationModel, n: int, seed: int) -> tuple[list[Subject], np.ndarray]:
    """Simulated patients with a limit of quantification, and their true deviations."""
    rng = np.random.default_rng(seed)
    eta = rng.multivariate_normal(np.zeros(len(model.typical)), model.omega, size=n)
    empty = subject(DAYS, np.ones(len(DAYS)))
    curves = model.structure.predict(model.values(eta), [empty] * n)
    values = [model.residual["transgene"].simulate(curve, rng) for curve in curves]
    return [subject(DAYS, value, limit=LIMIT, name=f"p{k}") for k, value in enumerate(values)], eta


@pytest.mark.parametrize("kind", RESIDUALS)
def test_the_density_above_the_limit_and_the_probability_below_it_make_one(kind: str) -> None:
    error, limit, prediction = RESIDUALS[kind], 4.0, 5.0

    def log_likelihood(value: float, below: bool) -> float:
        return float(error.log_likelihood(np.array([value]), np.array([below]), np.array([prediction]))[0])

    above = quad(lambda value: np.exp(log_likelihood(value, False)), limit, 200.0, points=[5.0, 10.0, 20.0])[0]
    assert above + np.exp(log_likelihood(limit, True)) == pytest.approx(1.0, abs=1e-7)


def test_the_log_error_is_the_log_normal_distribution() -> None:
    value = np.array([3.0, 7.0])
    ours = Residual("log", 0.5).log_likelihood(value, np.array([False, True]), np.array([5.0, 5.0]))
    theirs = [stats.lognorm.logpdf(3.0, 0.5, scale=5.0), stats.lognorm.logcdf(7.0, 0.5, scale=5.0)]
    np.testing.assert_allclose(ours, theirs)


def test_a_prediction_that_does_not_exist_has_no_likelihood() -> None:
    ours = RESIDUALS["log"].log_likelihood(np.array([3.0, 3.0]), np.array([False, True]), np.array([np.nan, -1.0]))
    assert np.isneginf(ours).all()


@pytest.mark.parametrize("kind", RESIDUALS)
def test_the_slope_with_the_error_is_that_of_the_likelihood(kind: str) -> None:
    error = RESIDUALS[kind]
    value, below, prediction = np.array([3.0, 7.0, 4.0]), np.array([False, False, True]), np.array([5.0, 6.0, 5.0])
    slope, share = error.slope(value, below, prediction)
    for k in range(len(error.needed)):
        change = np.exp(1e-5 * (np.arange(len(error.needed)) == k))
        above, under = (error.with_numbers(error.numbers * factor) for factor in (change, 1.0 / change))
        rise = above.log_likelihood(value, below, prediction) - under.log_likelihood(value, below, prediction)
        np.testing.assert_allclose(slope * share[k], rise / 2e-5, rtol=1e-6, atol=1e-9)


def test_an_error_model_that_cannot_be_is_refused() -> None:
    with pytest.raises(RangeError, match="residual error 'log': additive is 0"):
        Residual("log")
    with pytest.raises(RangeError, match="has no proportional part"):
        Residual("log", 1.0, 0.1)
    with pytest.raises(UnknownNameError, match="Did you mean 'combined'"):
        Residual("combine", 1.0, 0.1)  # pyright: ignore[reportArgumentType]


def test_the_curve_doubles_peaks_and_falls_as_published() -> None:
    model = tisagenlecleucel()
    time = np.array([0.0, 0.78, 9.3, 9.3 + 4.33, 400.0, 400.0 + 216.6])
    start, doubled, peak, _, late, later = model.structure.predict(model.typical[None], [subject(time, time)])[0]
    assert peak == pytest.approx(24000.0)
    assert start == pytest.approx(24000.0 / 3900.0)
    assert doubled / start == pytest.approx(2.0, rel=1e-3)  # doubling time 0.78 days (Stein 2019, discussion)
    assert later / late == pytest.approx(0.5, rel=1e-3)
    assert late == pytest.approx(0.0079 * 24000.0 * np.exp(-0.0032 * (400.0 - 9.3)), rel=1e-6)
    assert np.isnan(model.structure.predict(model.typical[None], [subject(np.array([-1.0]), np.ones(1))])[0]).all()


def test_the_curve_is_the_solution_of_the_published_compartments() -> None:
    """E' = -alpha E, M' = k E - beta M with k = F (alpha - beta), from E = c_max, M = 0 at the peak (Stein 2019)."""
    alpha, beta, fraction = 0.16, 0.0032, 0.0079
    generator = np.array([[-alpha, 0.0], [fraction * (alpha - beta), -beta]])
    size, direction = np.linalg.eig(generator)
    model = tisagenlecleucel()
    days = np.array([10.0, 30.0, 200.0])
    ours = model.structure.predict(model.typical[None], [subject(9.3 + days, days)])[0]
    start = np.linalg.solve(direction, np.array([24000.0, 0.0]))
    theirs = [float(((direction * np.exp(size * day)) @ start).sum()) for day in days]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_the_map_of_a_normal_model_is_the_best_linear_predictor() -> None:
    """b = Omega Z' V^-1 (y - Z mu), with covariance Omega - Omega Z' V^-1 Z Omega (Laird and Ware 1982)."""
    time, omega, mu = np.linspace(0.0, 2.0, 5), np.array([[0.5, 0.1], [0.1, 0.2]]), np.array([1.0, 0.5])
    value = np.array([1.4, 1.9, 1.7, 2.9, 3.3])
    model = PopulationModel(Line(), np.exp(mu), omega, {"y": Residual("additive", 0.3)})
    fit = individual_fit(model, subject(time, value, "y"))
    design = np.column_stack([np.ones(5), time])
    gain = omega @ design.T @ np.linalg.inv(design @ omega @ design.T + 0.09 * np.eye(5))
    np.testing.assert_allclose(fit.eta, gain @ (value - design @ mu), atol=1e-5)
    np.testing.assert_allclose(fit.covariance, omega - gain @ design @ omega, rtol=1e-4)
    assert fit.converged
    spread = np.cov(np.log(fit.draws(4000, seed=1)), rowvar=False)
    np.testing.assert_allclose(spread, fit.covariance, atol=0.1 * np.abs(fit.covariance).max())


@pytest.mark.parametrize("error", ["log", "proportional", "combined"])
def test_in_one_dimension_the_map_is_what_a_grid_finds(error: str) -> None:
    whole = tisagenlecleucel()
    omega = np.zeros((6, 6))
    omega[0, 0] = 0.65
    model = replace(whole, omega=omega, residual={"transgene": RESIDUALS[error]})
    rng = np.random.default_rng(5)
    curve = model.structure.predict(model.values(np.array([[-1.5, 0, 0, 0, 0, 0]])), [subject(DAYS, DAYS)])[0]
    seen = subject(DAYS, model.residual["transgene"].simulate(curve, rng), limit=300.0)
    assert 3 <= seen.below.sum() <= 10
    fit = individual_fit(model, seen)
    grid = np.linspace(-4.0, 4.0, 8001)
    rows = Rows((seen,) * len(grid))
    likelihood = rows.log_likelihood(
        rows.predict(model.structure, model.values(np.outer(grid, np.eye(6)[0]))), model.residual
    )
    joint = -2.0 * likelihood + grid**2 / 0.65 + np.log(2.0 * np.pi * 0.65)
    best = int(np.argmin(joint))
    assert fit.eta[0] == pytest.approx(grid[best], abs=1.1e-3)
    assert fit.ofv == pytest.approx(joint[best], abs=1e-3)
    curvature = (joint[best + 30] - 2.0 * joint[best] + joint[best - 30]) / 0.03**2
    assert fit.covariance[0, 0] == pytest.approx(2.0 / curvature, rel=0.02)
    assert not fit.covariance[1:].any()


def test_in_six_dimensions_no_slow_search_does_better() -> None:
    model = tisagenlecleucel()
    seen, truth = patients(model, 4, seed=11)
    precision = np.linalg.inv(model.omega)
    for fit, true in zip(fit_patients(model, seen), truth, strict=True):
        rows = Rows((fit.subject,))

        def ofv(eta: np.ndarray, rows: Rows = rows) -> float:
            prediction = rows.predict(model.structure, model.values(eta)[None])
            likelihood = rows.log_likelihood(prediction, model.residual)[0]
            return -2.0 * likelihood + eta @ precision @ eta + np.linalg.slogdet(2.0 * np.pi * model.omega)[1]

        assert ofv(fit.eta) == pytest.approx(fit.ofv)
        options = {"maxiter": 2000, "maxfev": 2000, "adaptive": True, "xatol": 1e-5, "fatol": 1e-6}
        rivals = [minimize(ofv, start, method="Nelder-Mead", options=options).fun for start in (fit.eta, true)]
        assert fit.ofv <= min(rivals) + 0.02


def test_a_patient_with_everything_below_the_limit_is_pulled_down_and_stays_near_the_population() -> None:
    model = tisagenlecleucel()
    days = np.array([60.0, 90.0])
    fit = individual_fit(model, subject(days, np.ones(2), limit=LIMIT))
    assert (fit.prediction < 2.0 * LIMIT).all()
    assert np.sqrt(fit.eta @ np.linalg.inv(model.omega) @ fit.eta) < 2.5


def test_what_cannot_be_fitted_is_an_error_that_says_why() -> None:
    model = tisagenlecleucel()
    with pytest.raises(UnknownNameError, match="subject a: There is no kind of observation 'm_protein'"):
        individual_fit(model, subject(DAYS, DAYS, "m_protein"))
    with pytest.raises(RangeError, match=r"subject a: transgene at 4 days is 0; .*give the limit"):
        individual_fit(model, subject(np.array([4.0]), np.zeros(1)))
    with pytest.raises(FitError, match="subject a: the model cannot predict the data"):
        individual_fit(model, subject(np.array([-3.0, 4.0]), np.ones(2)))
    with pytest.raises(FitError, match="no parameter differs between subjects"):
        individual_fit(replace(model, omega=np.zeros((6, 6))), subject(DAYS, DAYS))
    with pytest.raises(InputError, match=r"expected \(6,\) and \(6, 6\)"):
        replace(model, typical=np.ones(2))
    with pytest.raises(RangeError, match="typical c_max is -1"):
        replace(model, typical=-np.ones(6))
    with pytest.raises(InputError, match="omega is not a covariance matrix"):
        replace(model, omega=-np.eye(6))
    with pytest.raises(UnknownNameError, match="cellular kinetics"):
        CellularKinetics("flc")
    assert model.structure.ids == tuple(STEIN_2019)


def test_shrinkage_of_a_normal_model_is_what_theory_says() -> None:
    """The estimate is the mean of the data times the reliability n omega / (n omega + sigma^2), here 2/3."""
    model = PopulationModel(Line(), np.exp([1.0, 0.0]), np.diag([0.5, 0.0]), {"y": Residual("additive", 1.0)})
    rng = np.random.default_rng(3)
    value = 1.0 + rng.normal(0.0, np.sqrt(0.5), (60, 1)) + rng.standard_normal((60, 4))
    many = [subject(np.arange(4.0), row, "y", name=str(k)) for k, row in enumerate(value)]
    eta = np.array([fit.eta for fit in fit_patients(model, many, starts=1)])
    expected = 2.0 / 3.0 * (value.mean(axis=1) - 1.0)
    np.testing.assert_allclose(eta[:, 0], expected, atol=1e-5)
    assert shrinkage(model, eta) == pytest.approx({"intercept": 1.0 - expected.std() / np.sqrt(0.5)}, abs=1e-4)
    table = residuals(model, many, eta, replicates=2)
    left = value - 1.0 - expected[:, None]
    assert table.epsilon_shrinkage["y"] == pytest.approx(1.0 - left.std(), abs=1e-4)
    # In a large sample: 3/4 of the variance lies within subjects, and (1/2 + 1/4)/9 is left of that between them.
    assert table.epsilon_shrinkage["y"] == pytest.approx(1.0 - np.sqrt(0.75 + 0.75 / 9.0), abs=0.08)


def test_the_discrepancies_of_the_true_model_are_standard_normal_with_data_below_the_limit() -> None:
    model = tisagenlecleucel()
    seen, eta = patients(model, 200, seed=8)
    table = residuals(model, seen, eta, replicates=200)
    first = table.npd[table.time == 28.0]
    assert 0.02 < table.below.mean() < 0.5
    assert stats.kstest(first, "norm").pvalue > 0.01
    assert abs(table.npd.mean()) < 0.1
    assert np.isnan(table.iwres[table.below]).all()
    # Far above the limit nothing is cut off, so that at the true parameters the weighted residual is standard normal.
    clear = table.iwres[table.individual > 20.0 * LIMIT]
    assert stats.kstest(clear, "norm").pvalue > 0.01
    wrong = replace(model, typical=model.typical * np.array([3.0, 1, 1, 1, 1, 1]))
    assert stats.kstest(residuals(wrong, seen, eta, replicates=100).npd[table.time == 28.0], "norm").pvalue < 1e-6


def test_a_predictive_check_holds_the_data_of_the_true_model_and_not_of_a_wrong_one() -> None:
    model = tisagenlecleucel()
    seen, _ = patients(model, 150, seed=21)
    right = vpc(model, seen, "transgene", bins=6, seed=2)
    assert right.n.sum() == 150 * len(DAYS)
    assert right.limit == LIMIT
    # A percentile that is not given lies below the limit.
    parts = (right.observed, right.simulated[:, 0], right.simulated[:, 2])
    observed, low, high = (np.nan_to_num(part, nan=-1.0) for part in parts)
    inside = (observed >= low) & (observed <= high)
    assert inside.mean() > 0.85
    covered = (right.below_observed >= right.below_simulated[0]) & (right.below_observed <= right.below_simulated[2])
    assert covered.sum() >= len(right.n) - 1
    # More than half below the limit: the median is below it too, and is not given as a number.
    assert np.isnan(vpc(model, seen, "transgene", bins=[0, 2, 400.0]).observed[1, 0])
    wrong = vpc(replace(model, typical=model.typical * np.array([4.0, 1, 1, 1, 1, 1])), seen, "transgene", bins=6)
    assert (right.observed[1] < wrong.simulated[1, 0])[2:].all()
    with pytest.raises(RangeError, match="hold all times"):
        vpc(model, seen, "transgene", bins=[0, 30.0])
    with pytest.raises(UnknownNameError, match="There is no kind of observation 'flc'"):
        vpc(model, seen, "flc")


def test_simulated_data_follow_the_seed() -> None:
    model = tisagenlecleucel()
    seen, _ = patients(model, 3, seed=1)
    assert np.array_equal(simulate_data(model, seen, 2, 5), simulate_data(model, seen, 2, 5))
    assert not np.array_equal(simulate_data(model, seen, 2, 5), simulate_data(model, seen, 2, 6))
