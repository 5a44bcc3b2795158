"""How fast the networks run on this machine, and how that compares with the original code.

Every case is measured in a fresh process with random weights: the plain module, then the fast paths, then (``against``) the
original code with the same weights, timed in turns with ours. Only the synthesis is timed; mapping adds about a millisecond.
This is *not* a test: it asserts nothing.
"""

from __future__ import annotations

import gc
import multiprocessing
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import psutil
import torch
from torch import Tensor

from studio._version import __version__
from studio.accel import choose, compare, runtime
from studio.accel.candidate import Candidate
from studio.accel.device import pick_device
from studio.anchors import check_checkout, load_anchor
from studio.errors import RecipeError, StudioError
from studio.models.common import Config, LatentGenerator, build
from studio.runners import NEEDS_COMPILER

T = TypeVar("T")

RUNS = 7
QUICK_RUNS = 3
BUDGET_SECONDS = 60.0
FP32_ERROR = 5e-4
"""A way nearer than this to the module did not compute in half precision, whatever it was allowed to."""
CONTRAST = 0.5
"""Root mean square of a picture with values in [-1, 1]."""


@dataclass(frozen=True, slots=True)
class Case:
    """One network to measure: ``family`` as people know it, ``size`` of its pictures in pixels."""

    name: str
    family: str
    size: int
    network: str
    config: Config = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One way of running one case."""

    case: str
    family: str
    size: int
    way: str
    """``original``, ``module`` or the name of a fast path."""
    precision: str
    dtype: str
    device: str
    milliseconds: float
    images_per_second: float
    peak_megabytes: float
    """Largest memory of the process so far (CPU), or of the GPU in this way."""
    ratio: float | None = None
    """How many times faster than the original code."""
    relative_error: float | None = None
    """Relative L2 error, against the original code where there is one, else the module."""
    psnr: float | None = None
    note: str = ""


def _stylegan2(size: int, channel_base: int) -> Case:
    channels = [min(channel_base // 2**level, 512) for level in range(2, size.bit_length())]
    config = {"z_dim": 512, "c_dim": 0, "w_dim": 512, "img_resolution": size, "img_channels": 3, "channels": channels, "conv_clamp": 256}
    return Case(f"stylegan2 {size} ({channel_base})", "stylegan2", size, "stylegan2", config)


def _stylegan3(size: int, letter: str) -> Case:
    config = {"z_dim": 512, "c_dim": 0, "w_dim": 512, "img_resolution": size, "img_channels": 3}
    special = {"channel_base": 16384} if letter == "t" else {"channel_max": 1024, "conv_kernel": 1, "use_radial_filters": True}
    return Case(f"stylegan3-{letter} {size}", f"stylegan3-{letter}", size, "stylegan3", {**config, **special})


CASES = (
    _stylegan2(256, 16384),
    _stylegan2(256, 32768),
    _stylegan2(512, 32768),
    _stylegan3(256, "t"),
    _stylegan3(256, "r"),
    Case("resnet9 512", "resnet", 512, "resnet", {"ngf": 64, "n_blocks": 9}),
)
"""The published configurations that the studio promises ratios for."""


def select(families: Sequence[str] = (), sizes: Sequence[int] = ()) -> list[Case]:
    """Return the cases of some families and sizes; empty means all.

    Raises:
        RecipeError: A family is unknown, or nothing is left.
    """
    known = sorted({case.family for case in CASES})
    for family in families:
        if not any(case.family.startswith(family) for case in CASES):
            raise RecipeError(f"family={family!r} is unknown. Use {', '.join(known)}.")
    chosen = [case for case in CASES if not families or any(case.family.startswith(family) for family in families)]
    chosen = [case for case in chosen if not sizes or case.size in sizes]
    if not chosen:
        raise RecipeError(f"There is nothing to measure in these sizes. Use {', '.join(sorted({str(case.size) for case in CASES}))}.")
    return chosen


def run(cases: Sequence[Case], *, against: Path | None = None, quick: bool = False, device: str = "auto") -> Iterator[list[Row]]:
    """Measure cases one after another, each in a process of its own.

    Yields:
        The rows of each case.

    Raises:
        StudioError: The device is not there, or the checkout cannot be used.
    """
    pick_device(device)
    if against is not None:
        check_checkout(against)
    return apart((case.name, partial(measure, case, against=against, quick=quick, device=device)) for case in cases)


def apart(works: Iterable[tuple[str, Callable[[], list[T]]]]) -> Iterator[list[T]]:
    """Do (name, work) pairs one after another, each in a process of its own, whose memory ends with it.

    Yields:
        What each gives.

    Raises:
        StudioError: As the work says, or its process ended early.
    """
    context = multiprocessing.get_context("spawn")
    for name, work in works:
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=_answer, args=(there, work))
        process.start()
        there.close()
        try:
            answer = here.recv()
        except EOFError:
            answer = StudioError(f"Measuring {name} ended early; there may be too little memory.")
        process.join()
        if isinstance(answer, Exception):
            raise answer
        yield answer


def _answer(pipe: Connection, work: Callable[[], object]) -> None:
    try:
        pipe.send(work())
    except StudioError as error:
        pipe.send(error)


def measure(case: Case, *, against: Path | None = None, quick: bool = False, device: str = "auto") -> list[Row]:
    """Measure one case in this process; see :func:`run`."""
    runtime.tune_allocator()
    place, runs = pick_device(device), QUICK_RUNS if quick else RUNS
    net = random_network(case).to(place)
    given = sample(net, case)
    with torch.no_grad():
        wanted = choose.reference(net)(given)
        rows = [_row(case, "module", "exact", choose.reference(net), given, wanted, runs)]
        ways: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {}
        for precision in ("exact", "auto"):
            found = [c for c in choose.fast_paths(net, precision, place) if not (quick and c.name in NEEDS_COMPILER)]
            for candidate in found:
                row, call = _try(case, candidate, precision, given, wanted, runs)
                rows.append(row)
                if call is not None and (precision not in ways or row.milliseconds < _time_of(rows, precision, ways[precision][0])):
                    ways[precision] = (candidate.name, call)
                del call
                gc.collect()
        anchor = load_anchor(net, against)
        return rows if anchor is None else _compared(case, rows, ways, anchor, given, runs)


def _time_of(rows: Sequence[Row], precision: str, way: str) -> float:
    return next(row.milliseconds for row in rows if (row.precision, row.way) == (precision, way))


def _try(
    case: Case, candidate: Candidate, precision: str, given: Tensor, wanted: Tensor, runs: int
) -> tuple[Row, Callable[[Tensor], Tensor] | None]:
    """Measure a fast path; one that cannot be built, or is wrong, is a row with a note."""
    try:
        call = candidate.build()
        got = call(given)
    except Exception as error:
        return replace(_empty(case, candidate.name, precision, given), note=f"failed: {type(error).__name__}: {error}"[:200]), None
    row = _row(case, candidate.name, precision, call, given, wanted, runs)
    if not compare.is_accurate(got, wanted, precision):
        return replace(row, note="not accurate enough"), None
    return row, call


def _compared(
    case: Case, rows: list[Row], ways: dict[str, tuple[str, Callable[[Tensor], Tensor]]], anchor: Any, given: Tensor, runs: int
) -> list[Row]:
    """Time the original code and the best of our ways in turns; their rows get ratio and error against it."""
    truth = anchor(given)
    original = _empty(case, "original", "exact", given)
    for precision, (way, call) in ways.items():
        got = call(given)
        theirs, ours = compare.alternate([partial(anchor, given), partial(call, given)], runs=runs, budget=BUDGET_SECONDS)
        for index, row in enumerate(rows):
            if (row.precision, row.way) == (precision, way):
                error, quality = compare.relative_error(got, truth), compare.psnr(got, truth)
                timed = replace(row, milliseconds=ours, images_per_second=1000 / ours, ratio=theirs / ours)
                rows[index] = replace(timed, relative_error=error, psnr=quality)
        original = replace(original, milliseconds=theirs, images_per_second=1000 / theirs)
    return [replace(original, peak_megabytes=_peak(given)), *rows]


def random_network(case: Case) -> Any:
    """Build a case's network with random weights from a fixed seed; biases and noise strengths are not left at zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = build(case.network, case.config).eval().requires_grad_(False)
        for name, tensor in net.named_parameters():
            if name.endswith(("bias", "noise_strength")) and "affine" not in name:
                tensor.add_(torch.randn_like(tensor) * 0.1)
    if isinstance(net, LatentGenerator):
        _set_contrast(net)
    return net


def _set_contrast(net: Any) -> None:
    """Scale the layers to RGB, which are linear, so that the picture has the contrast of a photo: PSNR depends on it."""
    factor = CONTRAST / float(net.synthesis(choose.sample(net)).square().mean().sqrt())
    last = [name for name, _ in net.synthesis.named_children()][-1]
    for name, tensor in net.synthesis.named_parameters():
        if "affine" not in name and ("torgb" in name or (net.family == "stylegan3" and name.startswith(f"{last}."))):
            tensor.mul_(factor)


def sample(net: Any, case: Case) -> Tensor:
    """Return what one call is timed with: one style, or one picture-like pattern of the case's size."""
    if isinstance(net, LatentGenerator):
        return choose.sample(net)
    pattern = choose.sample(net)
    return torch.nn.functional.interpolate(pattern, size=(case.size, case.size), mode="bicubic").clamp(-1, 1)


def _row(case: Case, way: str, precision: str, call: Callable[[Tensor], Tensor], given: Tensor, wanted: Tensor, runs: int) -> Row:
    if given.is_cuda:
        torch.cuda.reset_peak_memory_stats()
    got = call(given)
    spent = compare.milliseconds(partial(call, given), runs=runs, budget=BUDGET_SECONDS / 4)
    row = _empty(case, way, precision, given)
    error = (None, None) if way == "module" else (compare.relative_error(got, wanted), compare.psnr(got, wanted))
    return replace(
        row, milliseconds=spent, images_per_second=1000 / spent, peak_megabytes=_peak(given), relative_error=error[0], psnr=error[1]
    )


def _empty(case: Case, way: str, precision: str, given: Tensor) -> Row:
    half = precision == "auto" and (given.is_cuda or runtime.bfloat16_wins())
    dtype = ("half" if given.is_cuda else "bf16") if half else "fp32"
    return Row(case.name, case.family, case.size, way, precision, dtype, given.device.type, 0.0, 0.0, 0.0)


def _peak(given: Tensor) -> float:
    """Return the largest memory in MB: of the GPU since it was reset, of the process since it started."""
    if given.is_cuda:
        return torch.cuda.max_memory_allocated() / 2**20
    memory = psutil.Process().memory_info()
    if sys.platform == "win32":
        return float(memory.peak_wset) / 2**20
    import resource

    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**20


def machine() -> dict[str, object]:
    """Describe what the measurements were taken on."""
    return {
        "studio": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "bf16": runtime.bfloat16_wins(),
        "compiler": runtime.find_compiler() is not None,
    }


def to_json(rows: Sequence[Row]) -> dict[str, object]:
    """Return machine and measurements as JSON-able data."""
    return {"machine": machine(), "rows": [asdict(row) for row in rows]}
