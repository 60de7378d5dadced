"""Print the papers whose vectors are nearest to a text or to a paper."""

import argparse
from pathlib import Path

from arxiv_embeddings.common.cli import end_with_reader, run
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.embedding.search import Search

TITLE = 90


def main(arguments: argparse.Namespace) -> None:
    if not arguments.text and not arguments.id:
        raise InputError(
            'Give a text or an id: make query Q="graph neural networks", or ID=2504.11843.'
        )
    results = arguments.model or only_model(Path("results"))
    search = Search(results, Path("resources/models") / results.name)
    if arguments.id:
        hits = search.paper(arguments.id, arguments.number)
    else:
        hits = search.text(arguments.text, arguments.number)
    for hit in hits:
        print(
            f"{hit.cosine:6.3f}  {hit.id:<18} {hit.category:<18} {' '.join(hit.topic.split())[:TITLE]}"
        )


def only_model(folder: Path) -> Path:
    """Return the results of the only model in ``folder``; fail if there are none or several."""
    found = sorted(file.parent for file in folder.glob("*/*/embeddings.npy"))
    if not found:
        raise InputError(f"There are no embeddings in {folder.absolute()}. Run snakemake first.")
    if len(found) > 1:
        raise InputError(
            f"There are several results. Choose one with MODEL={', or MODEL='.join(map(str, found))}."
        )
    return found[0]


if __name__ == "__main__":
    end_with_reader()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", help="text to search for")
    parser.add_argument("--id", help="id of an embedded paper to search with")
    parser.add_argument(
        "--model", type=Path, help="results folder of a model; by default the only one in results/"
    )
    parser.add_argument("--number", type=int, default=10, help="papers to print")
    run(main, parser)
