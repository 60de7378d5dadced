"""A small checkpoint, texts and drawn papers for the tests of embedding."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from arxiv_embeddings.checkpoint.fetch import fetch_model
from support.drawn import PAPERS, SETTINGS
from support.models import TextEncoder, make_bert, topics


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Run small models on one thread; several threads mostly wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def bert(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint, fetched as in the workflow."""
    folder = tmp_path_factory.mktemp("models")
    fetch_model(str(make_bert(minilm, folder / "made")), None, folder / "fetched", SETTINGS)
    return folder / "fetched"


@pytest.fixture(scope="session")
def loaded(bert: Path) -> TextEncoder:
    """The same checkpoint, loaded on the CPU."""
    return TextEncoder(bert, SETTINGS, torch.device("cpu"))


@pytest.fixture(scope="session")
def texts(made_snapshot: Path) -> list[str]:
    """Texts of different lengths, including an empty text and a non-ASCII text."""
    return [*topics(made_snapshot, PAPERS - 2), "", "é $\\alpha$ 🪐"]
