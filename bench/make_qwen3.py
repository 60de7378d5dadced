"""Make a checkpoint with random weights: the true shape of a model whose weights are not at hand.

    python bench/make_qwen3.py CONFIG_FOLDER FOLDER

CONFIG_FOLDER holds the config and the tokenizer of Qwen3-Embedding-0.6B, or of another model that transformers
builds. How fast a model is depends on its shape and not on its weights; its vectors mean nothing.
"""

import argparse
import shutil
from pathlib import Path

import torch
import transformers


def main(source: Path, folder: Path) -> None:
    config = transformers.AutoConfig.from_pretrained(source, local_files_only=True)
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config, dtype=torch.float32)
    for name, weight in model.named_parameters():
        # With the small weights that training starts from, all texts would get nearly one vector, and
        # the cosines between contenders would tell nothing.
        if "embed" in name:
            torch.nn.init.normal_(weight, std=2)
        elif weight.ndim == 2:
            torch.nn.init.normal_(weight, std=2 * weight.shape[1] ** -0.5)
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.bin"))
    for file in [folder, *folder.rglob("*")]:
        file.chmod(0o755 if file.is_dir() else 0o644)
    model.to(config.dtype or torch.float32).save_pretrained(folder)
    weights = sum(weight.numel() for weight in model.parameters())
    print(f"{folder}: {weights / 1e6:.0f} M random weights in {model.dtype}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make a checkpoint with random weights.")
    parser.add_argument("source", type=Path, help="folder with config and tokenizer")
    parser.add_argument("folder", type=Path, help="folder to make")
    arguments = parser.parse_args()
    main(arguments.source, arguments.folder)
