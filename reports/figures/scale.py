"""What a virtual patient costs in time and memory, by the size of the cohort."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from ...parameters.errors import RangeError
from .checks import check_some
from .picture import Picture
from .style import DARK_GREY, GREY, axes_at, draw_title, house_style, look, new_figure, number_text, text_colour

_ACROSS, _DOWN, _LEFT, _TOP, _STEP = 2.9, 2.2, 0.75, 0.7, 4.4  # inches


@dataclass(frozen=True)
class SizeSpec:
    """One run: patients of the cohort, threads, seconds in all, peak memory of the process in gigabytes."""

    patients: int
    workers: int
    seconds: float
    gigabytes: float

    def __post_init__(self) -> None:
        if self.patients < 1 or self.workers < 1 or not self.seconds > 0 or not self.gigabytes > 0:
            raise RangeError(f"run {self}: every number must be positive.")

    @property
    def microseconds(self) -> float:
        """Time per patient."""
        return 1e6 * self.seconds / self.patients


def scale_picture(
    runs: Sequence[SizeSpec],
    *,
    limit: float,
    name: str = "scale",
    title: str = "What a virtual patient costs, by the size of the cohort",
) -> Picture:
    """Time per patient and peak memory against the size of the cohort, a line for each number of threads.

    `limit` is a line in the right panel, in gigabytes.
    """
    check_some(runs, "runs", f"picture {name}")
    runs = sorted(runs, key=lambda run: (run.workers, run.patients))
    lines = {run.workers: [other for other in runs if other.workers == run.workers] for run in runs}
    with house_style():
        figure = new_figure(2 * _STEP, _TOP + _DOWN + 0.55)
        draw_title(figure, title)
        left, right = (axes_at(figure, _LEFT + k * _STEP, _TOP, _ACROSS, _DOWN) for k in (0, 1))
        left.set_title("Time per patient, microseconds")
        right.set_title("Peak memory of the process, gigabytes")
        for index, (workers, line) in enumerate(lines.items()):
            words = f"{workers} thread{'' if workers == 1 else 's'}"
            _draw(left, [run.patients for run in line], [run.microseconds for run in line], index, words)
            _draw(right, [run.patients for run in line], [run.gigabytes for run in line], index, words)
        left.set_ylim(0, 1.15 * max(run.microseconds for run in runs))
        right.set_ylim(0, 1.15 * max(limit, *(run.gigabytes for run in runs)))
        right.axhline(limit, color=GREY, linewidth=0.9, linestyle=(0, (5, 3)))
        right.annotate(
            f"limit {number_text(limit)} GB", (0.02, limit), xycoords=("axes fraction", "data"), xytext=(0, 3),
            textcoords="offset points", color=DARK_GREY, fontsize="small",
        )  # fmt: skip
    most = max(runs, key=lambda run: (run.patients, run.workers))
    fields = ("patients", "workers", "seconds", "microseconds", "gigabytes")
    cost = "; ".join(
        f"{workers} threads: {', '.join(f'{number_text(run.microseconds)} at {run.patients:,}' for run in line)}"
        for workers, line in lines.items()
    )
    return Picture(
        name=name,
        title=title,
        alt=f"{title}. Microseconds per patient by size of the cohort, {cost}. "
        f"{most.patients:,} patients take {number_text(most.seconds)} s on {most.workers} threads and need "
        f"{number_text(most.gigabytes)} GB at most; the limit drawn is {number_text(limit)} GB.",
        figure=figure,
        table={field: [getattr(run, field) for run in runs] for field in fields},
    )


def _draw(axes: Axes, patients: list[int], values: list[float], index: int, words: str) -> None:
    shown = look(index)
    axes.plot(patients, values, color=shown.colour, linestyle=shown.dashes, marker=shown.marker, markersize=4.5)
    axes.annotate(
        words, (patients[-1], values[-1]), xytext=(7, 0), textcoords="offset points", va="center",
        color=text_colour(shown.colour), fontsize="small",
    )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number_text(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("Patients in the cohort")
    axes.grid(axis="y")
