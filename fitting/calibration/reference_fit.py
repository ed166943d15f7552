"""The reference calibration: joint fit, two samplers, simulated check of the estimate and of every draw, files."""

import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...model.catalogue import read_catalogue
from ...parameters.errors import FileError
from ...parameters.versions import version_of
from ..studies import read_studies
from .agreement import agreement
from .calibration import Calibration, is_file, rounded, short, write_calibration
from .design import Design, EvaluationLog, Staged, evaluate, labelled
from .emulator import Emulator, from_scale, on_one_blas_thread, to_scale
from .ensemble import EnsembleRun, EnsembleSettings, sample_ensembles
from .likelihood import match
from .points import FitPoints, points_file, write_points
from .problem import Problem
from .rounds import FitSettings, JointFit, checksum, joint_fit, open_evaluation_log
from .search import Starts
from .search_space import SHARE, joint_space
from .smc import SmcRun, SmcSettings, sample_smc

MANY = 2000
"""Draws that are kept beside the points."""

CHECK_SEEDS = 8
"""Further sets of virtual patients in which the estimate is simulated."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """What two samplers found on the emulator, and the draws that are shipped."""

    ensembles: EnsembleRun
    particles: SmcRun
    draws: np.ndarray


@on_one_blas_thread
def reference_fit(
    out: Path, settings: FitSettings | None = None, *, ensembles: EnsembleSettings | None = None,
    particles: SmcSettings | None = None, resume: bool = False, progress: Staged | None = None,
) -> Calibration:  # fmt: skip
    """Fit all evidence of role 'fit' jointly and write the calibration, and beside it the points it rests on.

    The evaluations are written to a ledger beside `out`; with `resume` it goes on from there.

    Raises
    ------
    FileError
        If `out` is no .json or .json.gz file, or a ledger of an earlier fit lies there and `resume` was not asked for.
    """
    settings = settings or FitSettings()
    if not is_file(str(out)):
        raise FileError(f"{out}: the calibration is written as .json or .json.gz; name it so, for example fit.json.")
    if not out.parent.is_dir():
        raise FileError(f"{out.parent}: there is no such folder for the calibration.")
    problem = Problem(joint_space(read_catalogue()), read_studies(), settings.sizes)
    path = out.parent / f"{out.name.split('.')[0]}.ledger"
    ledger = open_evaluation_log(path, problem, settings, resume=resume)
    fit = joint_fit(problem, settings, ledger, progress=progress)
    posterior = sample(fit, settings, ensembles, particles, progress)
    calibration = calibrated(out, problem, settings, fit, posterior, ledger, progress)
    write_points(
        FitPoints(fit.design, settings.prior, fit.noise, fit.starts.best.point, fit.covariance,
                  tuple(quadratic.logs for quadratic in fit.emulator.quadratics),
                  posterior.ensembles.draws(min(MANY, posterior.ensembles.log_posterior.size), settings.seed)),
        points_file(out),
    )  # fmt: skip
    write_calibration(calibration, out)
    path.unlink(missing_ok=True)
    return calibration


def sample(
    fit: JointFit, settings: FitSettings, ensembles: EnsembleSettings | None = None,
    particles: SmcSettings | None = None, progress: Staged | None = None,
) -> Posterior:  # fmt: skip
    """Draw from the posterior on the emulator in two ways that know nothing of each other."""

    def log_likelihood(points: np.ndarray) -> np.ndarray:
        return fit.emulator.log_likelihoods(points).sum(axis=1)

    run = sample_ensembles(
        log_likelihood, fit.starts.best.point, fit.covariance,
        ensembles or EnsembleSettings(steps=2000, burn_in=600, seed=settings.seed),
        progress=labelled(progress, "ensembles"),
    )  # fmt: skip
    smc = sample_smc(
        log_likelihood, fit.emulator.size, particles or SmcSettings(particles=1000, seed=settings.seed),
        progress=lambda power: labelled(progress, "particles")(round(100 * power), 100),
    )  # fmt: skip
    return Posterior(run, smc, run.draws(settings.draws, settings.seed))


def calibrated(
    out: Path, problem: Problem, settings: FitSettings, fit: JointFit, posterior: Posterior, ledger: EvaluationLog,
    progress: Staged | None = None,
) -> Calibration:  # fmt: skip
    """Put a calibration together; the estimate is the highest posterior. It and every draw are simulated."""
    space, top = problem.space, fit.starts.best.point
    seed = settings.seed + 1_000_000
    again = evaluate(
        problem, np.tile(top, (CHECK_SEEDS, 1)), first_seed=seed, later=np.ones(CHECK_SEEDS, dtype=bool),
        ledger=ledger, progress=labelled(progress, "estimate"),
    )  # fmt: skip
    drawn = evaluate(
        problem, posterior.draws, first_seed=seed + 1000, later=np.arange(len(posterior.draws)) % 3 == 0,
        ledger=ledger, progress=labelled(progress, "draws"),
    )  # fmt: skip
    models = _mean_models(problem, again)
    rng = np.random.default_rng(settings.seed)
    rows = [
        {**rounded(space, draw), **{name: short(value) for name, value in space.borrowed(draw, rng).items()}}
        for draw in posterior.draws
    ]
    borrowed = {name: short(value) for name, value in space.borrowed(top).items()}
    return Calibration(
        name=out.name.split(".")[0],
        estimate={**rounded(space, top), **borrowed},
        draws=rows,
        misfits={
            item.id: {"model": short(float(value)), "misfit": short(match(item, float(value)).misfit)}
            for item, value in zip(problem.items, models, strict=True)
        },
        shrinkage=_shrinkage(problem, posterior),
        about=_about(problem, settings, fit, posterior, models, drawn),
    )


def _mean_models(problem: Problem, design: Design) -> np.ndarray:
    """Model values (items,): the mean over sets of patients on the scale of each result."""
    columns = enumerate(problem.items)
    return np.array([
        float(from_scale(item, np.asarray(np.nanmean(to_scale(item, design.models[:, k]))))) for k, item in columns
    ])  # fmt: skip


def _shrinkage(problem: Problem, posterior: Posterior) -> dict[str, float]:
    """Per number, in prior SDs: 1 - posterior variance, between 0 (the prior speaks) and 1 (the evidence decides)."""
    space = problem.space
    states = posterior.ensembles.chain.reshape(-1, space.size)
    variance = (states @ space.mix.T).var(axis=0)
    variances = dict(zip(space.ids, variance, strict=True))
    for name, place in space.borrowers:
        variances[name] = SHARE * states[:, place].var() + 1.0 - SHARE
    return {name: short(float(np.clip(1.0 - value, 0.0, 1.0))) for name, value in variances.items()}


def _about(
    problem: Problem, settings: FitSettings, fit: JointFit, posterior: Posterior, models: np.ndarray, drawn: Design
) -> dict[str, object]:
    """Seeds, sizes, versions and diagnostics."""
    run, smc = posterior.ensembles, posterior.particles
    apart = agreement(
        problem.space.names, run.chain.reshape(-1, problem.space.size), smc.points,
        sizes=(float(np.min(run.convergence.ess_bulk)), float(len(smc.points))),
    )  # fmt: skip
    likelihood = float(problem.log_likelihoods(models).sum())
    return {
        "settings": {**asdict(settings), "widths": list(settings.widths)},
        "evidence": checksum(problem.studies),
        "items": len(problem.items),
        "free": len(problem.space.ids),
        "coordinates": problem.space.size,
        "evaluations": len(fit.design),
        "log_likelihood": short(likelihood),
        "log_posterior": short(likelihood - 0.5 * float(fit.starts.best.point @ fit.starts.best.point)),
        "starts": starts_in_words(fit.starts),
        "search": {way: [fit.starts.agreeing(way), fit.starts.ways.count(way)] for way in ("gradient", "CMA-ES")},
        "sampling": {
            "largest_r_hat": short(float(np.max(run.between))),  # of many short chains: Margossian et al. 2024
            "largest_r_hat_of_single_walkers": short(float(np.max(run.convergence.r_hat))),
            "smallest_ess_bulk": short(float(np.min(run.convergence.ess_bulk))),
            "smallest_ess_tail": short(float(np.min(run.convergence.ess_tail))),
            "acceptance": short(float(np.mean(run.acceptance))),
            "autocorrelation": short(float(np.max(run.autocorrelation))),
            "evaluations": run.evaluations,
            "particles": len(smc.points),
            "log_evidence": short(smc.log_evidence),
            "agreement": apart.text,
        },
        "emulator": emulator_check(problem, fit.emulator, fit.noise, drawn),
        "versions": {package: version_of(package) for package in ("numpy", "scipy", "llvmlite", "cma", "emcee")},
        "python": platform.python_version(),
    }


def starts_in_words(starts: Starts) -> str:
    """How many searches ended at the same optimum."""
    ways = {way: starts.ways.count(way) for way in dict.fromkeys(starts.ways)}
    counts = ", ".join(f"{starts.agreeing(way)} of {n} by {way}" for way, n in ways.items())
    return f"{starts.agreeing()} of {len(starts.searches)} searches reached the same optimum ({counts})."


def emulator_check(
    problem: Problem, emulator: Emulator, noise: np.ndarray, drawn: Design
) -> dict[str, dict[str, float]]:
    """Emulated against simulated results at posterior draws, which the emulator has not seen, on the scale of each.

    `bias` and `error` (root mean square) of the emulator, `expected` what noise of patients and the emulator's own
    spread amount to, `sd` the spread of the simulated values themselves.
    """
    places = emulator.places(drawn.points)
    checks = {}
    for k, item in enumerate(problem.items):
        simulated = to_scale(item, drawn.models[:, k])
        known = np.isfinite(simulated)
        if not known.any():
            continue
        away = places[known, k] - simulated[known]
        checks[item.id] = {
            "bias": short(float(away.mean())), "error": short(float(np.sqrt(np.mean(away**2)))),
            "expected": short(float(np.hypot(noise[k], emulator.spread[k]))),
            "sd": short(float(simulated[known].std())),
        }  # fmt: skip
    return checks
