"""The data card of a dataset: README.md, whose head tells ``datasets`` and the Hugging Face hub what the files are."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import yaml

from ..names import method_name
from ..pages.provenance import facts

# From so many rows upward, the hub's category of a size has this name.
SIZES = {
    0: "n<1K",
    1_000: "1K<n<10K",
    10_000: "10K<n<100K",
    100_000: "100K<n<1M",
    1_000_000: "1M<n<10M",
    10_000_000: "10M<n<100M",
}
COLUMNS = {
    "id": "the id of the record",
    "title": "the title, unchanged",
    "abstract": "the abstract, unchanged. `title`, one space and `abstract` are the text that was embedded",
    "topic": "the text that was embedded",
    "categories": "all categories of the record, separated by spaces",
    "authors": "the authors, as the record lists them",
    "submitted": "the date of the first version",
    "updated": "the date of the last change of the record",
    "doi": "the DOI of the published paper",
    "license": "the licence of the paper itself, not of its record",
    "year": "the year of `submitted`",
    "x": "the place on the map",
    "y": "the place on the map",
}
LICENCES = {
    "arxiv": (
        "cc0-1.0",
        "arXiv publishes its metadata, which includes titles and abstracts, under "
        "[CC0 1.0](https://creativecommons.org/publicdomain/zero/1.0/). The papers themselves have licences of "
        "their own.",
    ),
}
OTHER_LICENCE = (
    "unknown",
    "The texts and labels have the licence of their corpus. Find it out before you publish this dataset, and put "
    "it here and into `license` at the top.",
)
ARXIV_CITATION = """\
@misc{clement2019arxiv,
  title = {On the Use of {ArXiv} as a Dataset},
  author = {Clement, Colin B. and Bierbaum, Matthew and O'Keeffe, Kevin P. and Alemi, Alexander A.},
  year = {2019},
  eprint = {1905.00075},
  archiveprefix = {arXiv}
}"""


def data_card(
    manifest: Mapping[str, Any],
    schema: pa.Schema,
    *,
    corpus: str,
    label: str,
    file: str,
    map_report: Mapping[str, Any],
    software: Mapping[str, Any],
) -> str:
    """Return the card in Markdown.

    Args:
        manifest: of the model.
        schema: the columns of the dataset.
        corpus: the name of the corpus.
        label: of the model.
        file: name of the Parquet file beside the card.
        map_report: how the map was made.
        software: the content of CITATION.cff.
    """
    rows, dimensions = manifest["embeddings"]["shape"]
    known = facts(dict(manifest))
    form = manifest["request"]["corpus"]["format"]
    licence, words = LICENCES.get(form, OTHER_LICENCE)
    head = {
        "pretty_name": f"{corpus}, embedded with {label}",
        "license": licence,
        "task_categories": ["feature-extraction", "text-classification"],
        "tags": ["embeddings", "clustering", *(["arxiv"] if form == "arxiv" else [])],
        "size_categories": [[name for least, name in SIZES.items() if rows >= least][-1]],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": file}]}],
    }
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False, allow_unicode=True).rstrip(),
        "---",
        "",
        f"# {corpus}, embedded with {label}",
        "",
        f"{rows:,} papers with labels of a hierarchy, each with its vector of {dimensions:,} numbers. The vectors were computed "
        f"with {known['checkpoint']}.",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        "# The path of this folder.",
        'papers = load_dataset("dataset", split="train").with_format("numpy")',
        'papers["vector"]',
        "```",
        "",
        "## Columns",
        "",
        "| column | type | content |",
        "|---|---|---|",
        *(
            f"| `{column.name}` | {_kind(column.type)} | {_content(column.name, map_report)} |"
            for column in schema
        ),
        "",
        "Columns of the map and of clusters are empty for papers that take no part in the evaluation.",
        "",
        "## How it was made",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {_cell(text)} |" for name, text in known.items()),
        "",
        "## Checks",
        "",
        "- Each vector was found by the sha256 of its text, and every piece of vectors matched its checksums.",
        "- All numbers are finite.",
        f"- When this file was written, its ids, texts and vectors matched the manifest of the run: sha256 of the vectors "
        f"`{manifest['embeddings']['vectors_sha256']}`, of the texts `{manifest['embeddings']['texts_sha256']}`.",
        "",
        "## Licence",
        "",
        f"{words} The licence of the checkpoint may restrict what its vectors are used for: see the page of the model.",
        "",
        "## How to cite",
        "",
        "Cite the model, the corpus, and the software that made the dataset:",
        "",
        "```bibtex",
        *([ARXIV_CITATION, ""] if form == "arxiv" else []),
        _software(software, manifest["commit"]),
        "```",
    ]
    return "\n".join([*lines, ""])


def _kind(kind: pa.DataType) -> str:
    """Return the name of a column's type."""
    if pa.types.is_fixed_size_list(kind):
        return f"{kind.list_size:,} float32"
    return {"float": "float32", "date32[day]": "date"}.get(str(kind), str(kind))


def _content(name: str, map_report: Mapping[str, Any]) -> str:
    """Return what a column contains."""
    if name == "vector":
        return "the vector"
    if name.startswith("category "):
        depth = int(name.removeprefix("category "))
        return "the label of the coarsest level" if depth == 0 else f"the label of level {depth}"
    if name.startswith("cluster "):
        _, reduction, clustering, level = name.split(" ", 3)
        number = (
            "a number that it chose (-1: noise)"
            if level == "own"
            else f"as many as `{level}` has labels"
        )
        return f"the cluster by {method_name(clustering)} of the vectors (reduction: {method_name(reduction)}), {number}"
    if name in "xy":
        return f"{COLUMNS[name]} ({method_name(map_report['method'])}, seed {map_report['seed']})"
    return COLUMNS[name]


def _cell(text: str) -> str:
    """Return ``text`` for a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def _software(software: Mapping[str, Any], commit: str | None) -> str:
    """Return the software as an entry of BibTeX."""
    authors = " and ".join(f"{{{author['name']}}}" for author in software["authors"])
    note = [f"  note = {{commit {commit}}},"] if commit else []
    return "\n".join(
        [
            "@software{arxiv_embeddings,",
            f"  title = {{{{{software['title']}}}}},",
            f"  author = {{{authors}}},",
            f"  version = {{{software['version']}}},",
            *note,
            f"  year = {{{software['date-released'].year}}}",
            "}",
        ]
    )
