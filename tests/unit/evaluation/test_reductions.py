"""Reductions have the size that was asked for, are the same every time, and say why they cannot."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.common.files import write_json
from arxiv_embeddings.config.methods import PARAMETERS
from arxiv_embeddings.evaluation import reductions
from arxiv_embeddings.evaluation.reading import read_json
from arxiv_embeddings.evaluation.reductions import reduce
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

Script = Callable[..., "CompletedProcess[str]"]


def draw(papers: int = 150) -> np.ndarray:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, 20))[np.arange(papers) % 6] + 0.5 * rng.normal(size=(papers, 20))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def made_by(method: str, dimensions: int = 2, **settings: Any) -> tuple[np.ndarray, dict[str, Any]]:
    return reduce(draw(), method, dimensions, seed=42, settings=settings, threads=1)


def test_none_keeps_the_vectors() -> None:
    made, report = made_by("none", 0)
    np.testing.assert_array_equal(made, draw())
    assert (report["dimensions"], report["settings"]) == (20, {})


def test_pca_equals_its_library() -> None:
    made, report = made_by("pca", 5)
    wanted = PCA(5, random_state=42).fit(draw())
    np.testing.assert_allclose(made, wanted.transform(draw()), atol=1e-5)
    assert report["explained_variance"] == pytest.approx(
        wanted.explained_variance_ratio_.sum(), abs=1e-4
    )


# Compiling takes 10 to 20 s in each of these libraries.
@pytest.mark.parametrize("method", ["umap", "tsne", "pacmap", "phate"])
def test_maps_are_faithful_and_the_same_every_time(method: str) -> None:
    made, report = made_by(method)
    again, _ = made_by(method)
    assert made.shape == (150, 2) and made.dtype == np.float32
    np.testing.assert_array_equal(made, again)
    assert trustworthiness(draw(), made, n_neighbors=5) > 0.8
    assert set(report["settings"]) == set(PARAMETERS[method])
    assert report["method"] == method and report["dimensions"] == 2


def test_phate_tells_its_t_and_keeps_a_given_one() -> None:
    assert made_by("phate")[1]["t"] > 1
    assert made_by("phate", t=3)[1]["t"] == 3


@pytest.mark.parametrize("method", ["umap", "pacmap"])
def test_more_than_two_dimensions(method: str) -> None:
    assert made_by(method, 7)[0].shape == (150, 7)


def test_settings_reach_the_method() -> None:
    near, far = (made_by("umap", n_neighbors=number) for number in (3, 40))
    assert near[1]["settings"]["n_neighbors"] == 3
    assert (near[0] != far[0]).any()


@pytest.mark.parametrize(
    ("vectors", "method", "dimensions", "message"),
    [
        (draw()[:20], "pca", 2, "pca needs at least 21 papers, but there are 20"),
        (draw(), "pca", 21, "pca cannot give 21 dimensions of 150 vectors with 20: at most 20"),
        (draw(), "tsne", 3, "at most 2"),
        (np.repeat(draw()[:1], 50, axis=0), "umap", 2, "umap cannot reduce identical vectors"),
    ],
)
def test_what_cannot_be_reduced_has_a_reason(
    vectors: np.ndarray, method: str, dimensions: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        reduce(vectors, method, dimensions, seed=42, settings={}, threads=1)


def test_a_setting_that_the_library_refuses_is_told() -> None:
    with pytest.raises(InputError, match=r"pca failed on these vectors and settings: .*svd_solver"):
        made_by("pca", svd_solver="magic")


def test_places_that_are_not_finite_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(vectors: np.ndarray, *_: Any) -> tuple[np.ndarray, dict[str, Any]]:
        made = vectors[:, :2].copy()
        made[3] = np.nan
        return made, {}

    monkeypatch.setitem(reductions.METHODS, "pca", broken)
    with pytest.raises(InputError, match="pca gave 1 of 150 papers places that are not finite"):
        made_by("pca")


def command(folder: Path, method: str, dimensions: int, papers: int) -> list[Any]:
    np.save(folder / "embeddings.npy", 3 * draw())
    write_json(folder / "selection.json", {"papers": papers})
    inputs = ["--embeddings", folder / "embeddings.npy", "--selection", folder / "selection.json"]
    options = ["--method", method, "--dimensions", dimensions, "--seed", 42, "--settings", "{}"]
    return [*inputs, *options, "--reduction", folder / "r.npy", "--report", folder / "r.json"]


def run(script: Script, folder: Path, *what: Any, **environment: str) -> dict[str, Any]:
    done = script("reduce_embeddings.py", *command(folder, *what), **environment)
    assert done.returncode == 0, done.stdout
    return read_json(folder / "r.json")


def test_the_command_reduces_the_first_papers(script: Script, tmp_path: Path) -> None:
    assert run(script, tmp_path, "none", 0, 40)["papers"] == 40
    np.testing.assert_allclose(np.load(tmp_path / "r.npy"), draw()[:40], atol=1e-6)


def test_the_command_leaves_the_reason_of_what_it_omits(script: Script, tmp_path: Path) -> None:
    report = run(script, tmp_path, "pca", 300, 40)
    assert report["omitted"].startswith("pca cannot give 300 dimensions of 40 vectors")
    assert np.load(tmp_path / "r.npy").shape == (0, 2)


INSTALL = """
import sys
def install():
    assert "sklearn" not in sys.modules and "umap" not in sys.modules, "too late"
    {more}
"""


@pytest.fixture
def cuml(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Return the environment of a job with a GPU and a simulated cuML that runs this code when it is switched on."""

    def make(more: str) -> dict[str, str]:
        folder = tmp_path / "cuml"
        folder.mkdir()
        (folder / "__init__.py").write_text("__version__ = '26.10'")
        (folder / "accel.py").write_text(INSTALL.format(more=more))
        scripts = Path(__file__).parents[3] / "workflow/scripts"
        return {"PYTHONPATH": f"{scripts}:{tmp_path}", "CUDA_VISIBLE_DEVICES": "0"}

    return make


def test_cuml_is_switched_on_before_its_libraries_are_imported(
    script: Script, tmp_path: Path, cuml: Callable[[str], dict[str, str]]
) -> None:
    environment = cuml("pass")
    report = run(script, tmp_path, "pca", 2, 40, **environment)
    assert report["accelerated_by"] == "cuML 26.10, not checked so far"
    assert "accelerated_by" not in run(script, tmp_path, "none", 0, 40, **environment)
    for hidden in ("", "NoDevFiles", "-1"):
        environment["CUDA_VISIBLE_DEVICES"] = hidden
        assert "accelerated_by" not in run(script, tmp_path, "pca", 2, 40, **environment)


def test_a_gpu_without_cuml_is_no_error(script: Script, tmp_path: Path) -> None:
    assert "accelerated_by" not in run(script, tmp_path, "pca", 2, 40, CUDA_VISIBLE_DEVICES="0")


def test_a_cuml_that_does_not_work_ends_the_job_with_what_to_do(
    script: Script, tmp_path: Path, cuml: Callable[[str], dict[str, str]]
) -> None:
    environment = cuml("raise RuntimeError('no driver')")
    done = script("reduce_embeddings.py", *command(tmp_path, "pca", 2, 40), **environment)
    assert done.returncode == 1
    assert "cuML is installed, but does not work on this node (RuntimeError: no driver)." in (
        done.stdout
    )
    assert "Traceback" not in done.stdout and not (tmp_path / "r.json").exists()
