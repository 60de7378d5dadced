"""Measure how often the intervals of the grid cover, and how often a difference is called real where there is none.

    python bench/intervals.py VECTORS.npy PAPERS.parquet --papers 600 --repeats 100 --methods kmeans ward

Again and again, some of the papers are drawn without replacement and scored as a cell of the grid. Covered is the share of
the intervals that hold the mean of the score over all repeats; 95 % is right. For the differences, every repeat scores two
models of the same quality, the vectors with noise of the same size but from two draws, so that every difference is chance;
real is the share of the differences whose interval excludes 0, before Holm's correction; 5 % is right.

The method "map" takes a map of all papers as it is; the two models of the same quality have noise on their places too.

The draws overlap, so they vary a little less than new papers would, by a factor of sqrt(1 - papers / all papers): draw a tenth
of the papers or fewer.
"""

import argparse
import concurrent.futures
import functools
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))

from arxiv_embeddings.evaluation import bootstrap, cells
from arxiv_embeddings.evaluation.bootstrap import interval
from arxiv_embeddings.evaluation.clusterings import cluster
from arxiv_embeddings.evaluation.geometry import space_scores
from arxiv_embeddings.evaluation.labels import Labels, read_labels
from arxiv_embeddings.evaluation.map_scores import map_scores
from arxiv_embeddings.evaluation.neighbours import nearest_papers
from arxiv_embeddings.evaluation.scores import Score, higher_is_better
from arxiv_embeddings.evaluation.vectors import unit_vectors

# Length of the noise that makes two models of one, relative to the vectors.
NOISE = 0.5
# Its standard deviation on a map, relative to that of the map.
NOISE_OF_MAP = 0.1
SPACE, MAP = "space", "map"
SEED = 42


def scores_of(
    vectors: np.ndarray, levels: list[Labels], method: str, places: np.ndarray | None
) -> list[Score]:
    if places is not None:
        return map_scores(vectors, levels, places, nearest_papers(vectors)).scores
    if method == SPACE:
        lengths = np.random.default_rng(SEED).integers(100, 2_000, len(vectors))
        return space_scores(vectors, levels, lengths, nearest_papers(vectors))
    numbers = [len(labels.names) for labels in levels]
    options: dict[str, Any] = {"method": method, "seed": SEED, "settings": {}, "threads": 1}
    return cells.cell_scores(
        vectors, levels, cluster(vectors, numbers=numbers, **options), **options
    )


def repeat(
    number: int,
    *,
    vectors: Path,
    papers: Path,
    places: Path | None,
    size: int,
    method: str,
    most: int,
) -> list[dict[tuple[str, ...], Score]]:
    """Return the scores of two models of the same quality on the papers of one repeat, by key."""
    bootstrap.MOST = most
    matrix = np.load(vectors, mmap_mode="r", allow_pickle=False)
    generator = np.random.default_rng([SEED, number])
    rows = np.sort(generator.choice(len(matrix), size, replace=False))
    levels = [labels.at(rows) for labels in read_labels(papers, len(matrix))]
    found: list[dict[tuple[str, ...], Score]] = []
    for _ in range(2):
        noise = generator.standard_normal((size, matrix.shape[1])).astype(np.float32)
        model = unit_vectors(unit_vectors(matrix, rows) + NOISE * unit_vectors(noise))
        on_map = None
        if method == MAP and places is not None:
            on_map = np.load(places, allow_pickle=False)
            noise = generator.standard_normal((size, 2)) * on_map.std(axis=0)
            on_map = on_map[rows] + NOISE_OF_MAP * noise
        found.append({score.key: score for score in scores_of(model, levels, method, on_map)})
    return found


def shares(
    repeats: list[list[dict[tuple[str, ...], Score]]],
) -> dict[tuple[str, ...], tuple[float, float, float, float]]:
    """Return for every score its mean, the mean width of its interval, and the shares covered and real."""
    values: dict[tuple[str, ...], list[Score]] = defaultdict(list)
    real: dict[tuple[str, ...], list[bool]] = defaultdict(list)
    for a, b in repeats:
        for key in a.keys() & b.keys():
            pair = a[key], b[key]
            values[key] += pair
            if all(score.replicates for score in pair):
                difference = (pair[0].value or 0.0) - (pair[1].value or 0.0)
                low, high = interval(
                    difference, np.subtract(pair[0].replicates, pair[1].replicates)
                )
                real[key].append(low > 0 or high < 0)
    found = {}
    for key, scores in values.items():
        told = [score.interval for score in scores if score.replicates]
        if not told:
            continue
        mean = float(np.mean([score.value for score in scores if score.value is not None]))
        ends: npt.NDArray[np.float64] = np.array(told, float)
        covered = float(((ends[:, 0] <= mean) & (mean <= ends[:, 1])).mean())
        width = float((ends[:, 1] - ends[:, 0]).mean())
        found[key] = mean, width, covered, float(np.mean(real[key])) if real[key] else np.nan
    return found


def main(arguments: argparse.Namespace) -> None:
    print("| method | score | level | mean | width of the interval | covered | real |")
    print("|---|---|---|---|---|---|---|")
    for method in arguments.methods:
        work = functools.partial(
            repeat,
            vectors=arguments.vectors,
            papers=arguments.labels,
            places=arguments.map,
            size=arguments.papers,
            method=method,
            most=arguments.most,
        )
        with concurrent.futures.ProcessPoolExecutor(arguments.processes) as pool:
            repeats = list(pool.map(work, range(arguments.repeats)))
        for (_, own, metric, level), told in sorted(shares(repeats).items()):
            if higher_is_better(metric) is None and method not in (SPACE, MAP):
                continue
            mean, width, covered, real = told
            name = f"{method}, {own}" if own and method not in (SPACE, MAP) else method
            print(
                f"| {name} | {metric} | {level} | {mean:.3f} | {width:.3f} | {covered:.0%} | {real:.0%} |",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("vectors", type=Path, help=".npy file, float32 (n, d)")
    parser.add_argument("labels", type=Path, help="Parquet file, a column for each level")
    parser.add_argument("--papers", type=int, default=600, help="of each repeat")
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--most", type=int, default=bootstrap.MOST, help="papers of a subsample")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--methods", nargs="+", default=["kmeans", "ward", SPACE])
    parser.add_argument("--map", type=Path, help=".npy file, float32 (n, 2), for the method map")
    chosen = parser.parse_args()
    if MAP in chosen.methods and chosen.map is None:
        parser.error("the method map needs --map")
    main(chosen)
