"""The parts of a piece (verse, chorus ...): where they begin, and which are alike.

Reference:
    McFee and Ellis 2014, "Analyzing Song Structure with Spectral Clustering".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MAX_SEGMENTS = 800
SHORTEST_SECONDS = 4.0
LEAST_SPREAD = 0.05
"""Features that vary less than this (powers of ten, kHz, shares of a pitch class) sound the same throughout."""
KINDS = 5
"""Most kinds of sections that are told apart."""

Matrix = npt.NDArray[np.float64]


def find_sections(features: npt.NDArray[np.float32], times: Matrix, end: float) -> tuple[tuple[float, int], ...]:
    """Cut a piece into sections.

    Args:
        features: What is heard in each segment (a beat or so), ``[segments, n]``.
        times: When each segment begins, in seconds.
        end: When the last one ends.

    Returns:
        ``(start in seconds, kind)`` in order; alike sections have the same kind, numbered as they first appear.
    """
    if len(features) < 16 or end - times[0] < 3 * SHORTEST_SECONDS:
        return ((0.0, 0),)
    every = -(-len(features) // MAX_SEGMENTS)
    starts = times[::every]
    groups = np.add.reduceat(features.astype(np.float64), np.arange(0, len(features), every), axis=0)
    spread = groups.std(0)
    if not (spread > LEAST_SPREAD).any():
        return ((0.0, 0),)
    points = (groups - groups.mean(0)) / np.maximum(spread, LEAST_SPREAD)
    vectors = _spectrum(_affinity(points))
    kinds = min(KINDS, max(2, round((end - times[0]) / 20)))
    return _runs(_cluster(_rows_of_length_one(vectors[:, :kinds]), kinds), starts, end)


def _affinity(points: Matrix) -> Matrix:
    """Join segments that sound alike (repetition) and segments that follow each other (continuity)."""
    count = len(points)
    squared = (points**2).sum(1)
    distance = np.sqrt(np.maximum(squared[:, None] + squared - 2 * points @ points.T, 0))
    width = 3
    off = np.abs(np.subtract.outer(np.arange(count), np.arange(count))) >= width
    near = max(2, int(2 * np.sqrt(count)))
    ranked = np.where(off, distance, np.inf)
    limit = np.sort(ranked, axis=1)[:, min(near, count - 2 * width)]
    scale = max(float(np.mean(limit[np.isfinite(limit)])), 1e-9)
    is_near = (ranked <= limit[:, None]) & (ranked <= limit[None, :])
    repeats = np.where(is_near, np.exp(-distance / scale), 0.0)
    steps = np.exp(-np.diagonal(distance, 1) / max(float(np.median(np.diagonal(distance, 1))), 1e-9))
    follows = np.diag(steps, 1) + np.diag(steps, -1)
    degree_repeats, degree_follows = repeats.sum(1), follows.sum(1)
    both = degree_repeats + degree_follows
    mu = float((degree_follows * both).sum() / max(float((both**2).sum()), 1e-12))
    joined: Matrix = mu * repeats + (1 - mu) * follows
    return joined


def _spectrum(affinity: Matrix) -> Matrix:
    """Return the lowest eigenvectors of the normalised Laplacian, smoothed along time."""
    scale = 1 / np.sqrt(np.maximum(affinity.sum(1), 1e-12))
    laplacian = np.eye(len(affinity)) - affinity * scale[:, None] * scale
    vectors = np.linalg.eigh(laplacian)[1][:, : KINDS + 1]
    padded = np.pad(vectors, ((4, 4), (0, 0)), mode="edge")
    smooth: Matrix = np.median(np.lib.stride_tricks.sliding_window_view(padded, 9, axis=0), axis=-1)
    return smooth


def _rows_of_length_one(vectors: Matrix) -> Matrix:
    lengths: Matrix = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    rows: Matrix = vectors / lengths
    return rows


def _cluster(points: Matrix, kinds: int) -> npt.NDArray[np.int64]:
    """k-means that starts from points far from each other, so that it is the same every time."""
    centers = [points[0]]
    for _ in range(kinds - 1):
        distance = np.min([((points - center) ** 2).sum(1) for center in centers], axis=0)
        centers.append(points[int(np.argmax(distance))])
    middle = np.array(centers)
    labels = np.zeros(len(points), np.int64)
    for _ in range(50):
        labels = np.argmin(((points[:, None] - middle) ** 2).sum(2), axis=1)
        middle = np.array([points[labels == kind].mean(0) if (labels == kind).any() else middle[kind] for kind in range(kinds)])
    return labels


def _runs(labels: npt.NDArray[np.int64], starts: Matrix, end: float) -> tuple[tuple[float, int], ...]:
    """Join equal neighbours; what is shorter than a section goes to the one before, or at the beginning to the one after."""
    edges = [0, *(int(edge) for edge in np.flatnonzero(np.diff(labels)) + 1)]
    until = [*(float(starts[edge]) for edge in edges[1:]), end]
    found: list[tuple[float, int]] = []
    begin = 0.0
    for edge, stop in zip(edges, until, strict=True):
        is_short = stop - begin < SHORTEST_SECONDS
        if not is_short or stop == end:
            kind = found[-1][1] if is_short and found else int(labels[edge])
            if not found or found[-1][1] != kind:
                found.append((begin, kind))
        if not is_short or found:
            begin = stop
    names: dict[int, int] = {}
    return tuple((start, names.setdefault(kind, len(names))) for start, kind in found)
