"""Make a checkpoint with random weights and the shape of a real model whose weights are not available.

    python bench/make_qwen3.py CONFIG_FOLDER FOLDER

CONFIG_FOLDER holds the config and the tokenizer of Qwen3-Embedding-0.6B, or of another model that transformers
supports. The speed of a model depends on its shape, not on its weights. Its vectors have no meaning.
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
        # With the usual small initial weights, all texts would get nearly the same vector, and the cosines
        # between contenders would show nothing.
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
    parser.add_argument("folder", type=Path, help="folder to create")
    arguments = parser.parse_args()
    main(arguments.source, arguments.folder)
