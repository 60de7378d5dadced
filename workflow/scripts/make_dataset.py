"""Write the result of a model as a dataset: a Parquet file and a data card, which ``datasets`` opens."""

import argparse
import logging
from pathlib import Path

import yaml
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.files import written_beside
from arxiv_embeddings.evaluation.reading import read_json
from arxiv_embeddings.report.dataset.card import data_card
from arxiv_embeddings.report.dataset.table import write_table

log = logging.getLogger(__name__)

CITATION = Path(__file__).parents[2] / "CITATION.cff"


def main(arguments: argparse.Namespace) -> None:
    manifest = read_json(arguments.manifest)
    # The card appears last: it names the other file.
    with written_beside(arguments.card) as card, written_beside(arguments.dataset) as dataset:
        schema = write_table(
            dataset,
            papers=arguments.papers,
            vectors=arguments.vectors,
            places=arguments.map,
            cells={name: Path(file) for name, file in arguments.clusters},
            embeddings=manifest["embeddings"],
        )
        page = data_card(
            manifest,
            schema,
            corpus=arguments.name,
            label=arguments.label,
            file=arguments.dataset.name,
            map_report=read_json(arguments.map_report),
            software=yaml.safe_load(CITATION.read_text()),
        )
        card.write_text(page, "utf-8")
    log.info(
        "Wrote %s (%.1f MB): %s columns.",
        arguments.dataset,
        arguments.dataset.stat().st_size / 1e6,
        len(schema),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="name of the corpus")
    parser.add_argument("--label", required=True, help="label of the model")
    parser.add_argument("--papers", type=Path, required=True, help="papers.parquet of the model")
    parser.add_argument("--vectors", type=Path, required=True, help="embeddings.npy of the model")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.json of the model")
    parser.add_argument(
        "--map", type=Path, required=True, help="places of the first papers, float32 (m, 2)"
    )
    parser.add_argument("--map-report", type=Path, required=True, help="how the map was made, JSON")
    parser.add_argument(
        "--clusters",
        nargs=2,
        action="append",
        default=[],
        metavar=("CELL", "FILE"),
        help="clusters of the papers by level (Parquet) of a cell, such as 'pca-50 ward'; may be repeated",
    )
    parser.add_argument("--dataset", type=Path, required=True, help="Parquet file to write")
    parser.add_argument(
        "--card", type=Path, required=True, help="data card to write: README.md beside it"
    )
    run(main, parser)
