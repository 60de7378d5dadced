"""Download or copy a checkpoint to a folder, so that later jobs need no network, and judge it."""

import argparse
from pathlib import Path

from arxiv_embeddings.checkpoint.fetch import fetch_model
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.config.encoder_settings import EncoderSettings


def main(arguments: argparse.Namespace) -> None:
    fetch_model(arguments.name, arguments.revision, arguments.folder, arguments.encoder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="Hugging Face id or local folder")
    parser.add_argument("--revision", help="full commit id (not for a local folder)")
    parser.add_argument("--folder", type=Path, required=True, help="folder to create")
    parser.add_argument(
        "--encoder", type=EncoderSettings.from_json, required=True, help="encoder settings (JSON)"
    )
    run(main, parser)
