"""List the vectors that no result uses; remove them with --delete."""

import argparse
import sys
from pathlib import Path

from arxiv_embeddings.common.progress import scaled
from arxiv_embeddings.embedding.prune import unused_files


def main(results: Path, delete: bool) -> int:
    total = 0
    for model in sorted(path.parent for path in results.glob("*/*/vectors")):
        files, reason = unused_files(model)
        if reason:
            print(f"{model}: {reason}", file=sys.stderr)
        size = sum(file.stat().st_size for file in files)
        total += size
        if files:
            print(f"{model}: {len(files):,} files, {scaled(size)}B")
        for file in files if delete else ():
            file.unlink(missing_ok=True)
    if not total:
        print("Every vector is used by a result.")
    elif delete:
        print(f"Removed {scaled(total)}B.")
    else:
        print(
            f"No result uses these {scaled(total)}B. Remove them with --delete (make prune DELETE=yes)."
        )
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of all results"
    )
    parser.add_argument("--delete", action="store_true", help="remove the listed files")
    arguments = parser.parse_args()
    sys.exit(main(arguments.results, arguments.delete))
