"""Hidden states are pooled into vectors as checkpoints declare it."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from arxiv_embeddings.checkpoint.declared import declared_dtype, resolve
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.encoder_settings import POOLINGS, EncoderSettings
from arxiv_embeddings.embedding.pooling import finish, pool
from support.models import qwen3_files

TRANSFORMER = "sentence_transformers.models.Transformer"
POOLING = "sentence_transformers.models.Pooling"
NORMALIZE = "sentence_transformers.models.Normalize"
DENSE = "sentence_transformers.models.Dense"
AUTO = EncoderSettings(pooling="auto", normalize="auto")
LEGACY_KEYS = {
    "mean": "pooling_mode_mean_tokens",
    "last": "pooling_mode_lasttoken",
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean_sqrt_len": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
}
LENGTHS = torch.tensor([5, 1, 3, 7, 7])


def hidden_states(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(len(LENGTHS), 7, 4, generator=generator).to(dtype)


def pooled_by_hand(hidden: torch.Tensor, pooling: str, skipped: int = 0) -> torch.Tensor:
    vectors = []
    for row, length in zip(hidden.double(), LENGTHS.tolist(), strict=True):
        own = [row[position] for position in range(skipped, length)]
        total = sum(own[1:], start=own[0])
        weights = range(skipped + 1, length + 1)
        weighted = sum((w * it for w, it in zip(weights, own, strict=True)), start=0 * own[0])
        by_hand = {
            "mean": total / len(own),
            "mean_sqrt_len": total / len(own) ** 0.5,
            "weightedmean": weighted / sum(weights),
            "max": torch.stack(own).max(dim=0).values,
            "last": own[-1],
            "cls": own[0],
        }
        vectors.append(torch.cat([by_hand[name] for name in pooling.split("+")]))
    return torch.stack(vectors)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("pooling", [*POOLINGS, "cls+mean", "+".join(POOLINGS)])
def test_pool_equals_a_plain_loop_in_float32(pooling: str, dtype: torch.dtype) -> None:
    hidden = hidden_states(dtype)
    vectors = pool(hidden, LENGTHS, pooling)
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(
        vectors.double(), pooled_by_hand(hidden, pooling), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("pooling", POOLINGS)
def test_tokens_of_the_prompt_are_left_out(pooling: str) -> None:
    hidden = hidden_states()[[0, 2, 3, 4]]
    lengths = torch.tensor([5, 3, 7, 7])
    expected = pool(hidden, lengths, pooling, skipped=2)
    hidden[:, :2] = 1e30
    torch.testing.assert_close(pool(hidden, lengths, pooling, skipped=2), expected, rtol=0, atol=0)
    # The weights of weightedmean are the positions in the whole row.
    if pooling != "weightedmean":
        rest = pool(hidden[:, 2:], lengths - 2, pooling)
        torch.testing.assert_close(rest, expected)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("content", [1e30, torch.nan, torch.inf])
def test_the_content_of_padding_has_no_effect(pooling: str, content: float) -> None:
    hidden = hidden_states()
    expected = pool(hidden, LENGTHS, pooling)
    for row, length in zip(hidden, LENGTHS.tolist(), strict=True):
        row[length:] = content
    torch.testing.assert_close(pool(hidden, LENGTHS, pooling), expected, rtol=0, atol=0)


def test_finish_changes_nothing_by_default() -> None:
    vectors = hidden_states()[:, 0]
    torch.testing.assert_close(finish(vectors, None, normalize=False), vectors, rtol=0, atol=0)


def test_finish_cuts_first_and_normalises_then() -> None:
    vectors = hidden_states()[:, 0]
    torch.testing.assert_close(finish(vectors, 3, normalize=False), vectors[:, :3])
    cut = finish(vectors, 3, normalize=True)
    torch.testing.assert_close(cut, vectors[:, :3] / vectors[:, :3].norm(dim=1, keepdim=True))
    torch.testing.assert_close(cut.norm(dim=1), torch.ones(len(vectors)))


def declare(folder: Path, modules: list[str], pooling: dict[str, Any] | None = None) -> Path:
    """Write ``modules.json`` and the config of the pooling module as sentence-transformers does."""
    paths = [
        "" if name == TRANSFORMER else f"{i}_{name.split('.')[-1]}"
        for i, name in enumerate(modules)
    ]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": name}
        for i, (path, name) in enumerate(zip(paths, modules, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    if pooling is not None:
        config = folder / paths[modules.index(POOLING)] / "config.json"
        config.parent.mkdir()
        config.write_text(json.dumps(pooling))
    return folder


def declared(*poolings: str) -> dict[str, Any]:
    """Return a pooling config with these poolings on and the others off."""
    modes = {key: pooling in poolings for pooling, key in LEGACY_KEYS.items()}
    return {"word_embedding_dimension": 64, "pooling_mode_max_tokens": False, **modes}


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("normalize", [True, False])
def test_auto_uses_the_declared_settings(tmp_path: Path, pooling: str, normalize: bool) -> None:
    modules = [TRANSFORMER, POOLING, *([NORMALIZE] if normalize else [])]
    declare(tmp_path, modules, declared(pooling))
    found = resolve(AUTO, tmp_path)
    assert (found.pooling, found.normalize) == (pooling, normalize)


@pytest.mark.parametrize(
    ("pooling", "name"),
    [
        ("mean", "mean"),
        ("last", "lasttoken"),
        ("cls", "cls"),
        ("mean_sqrt_len", "mean_sqrt_len_tokens"),
        ("weightedmean", "weightedmean"),
        ("mean+cls", ["mean", "cls"]),
    ],
)
def test_auto_understands_what_sentence_transformers_writes_since_version_6(
    tmp_path: Path, pooling: str, name: str | list[str]
) -> None:
    config = {"embedding_dimension": 64, "pooling_mode": name, "include_prompt": True}
    declare(tmp_path, [TRANSFORMER, POOLING], config)
    assert resolve(AUTO, tmp_path).pooling == pooling


def test_auto_finds_the_mean_of_minilm(minilm: Path) -> None:
    found = resolve(AUTO, minilm)
    assert (found.pooling, found.normalize) == ("mean", True)


def test_auto_finds_the_last_token_of_qwen3() -> None:
    found = resolve(AUTO, qwen3_files())
    assert (found.pooling, found.normalize) == ("last", True)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("normalize", [True, False])
def test_explicit_settings_override_declared_settings(
    tmp_path: Path, pooling: str, normalize: bool
) -> None:
    expected = EncoderSettings(pooling=pooling, normalize=normalize, prompt="Query: ", dimensions=3)
    assert resolve(expected, tmp_path) == expected  # nothing is declared
    declare(tmp_path, [TRANSFORMER, POOLING, NORMALIZE], declared("cls"))
    assert resolve(expected, tmp_path) == expected


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        (EncoderSettings(pooling="auto", normalize=True), "Set pooling to mean, last, cls"),
        (EncoderSettings(pooling="mean", normalize="auto"), "Set normalize to true or false"),
    ],
)
def test_auto_is_refused_if_the_checkpoint_declares_nothing(
    tmp_path: Path, settings: EncoderSettings, advice: str
) -> None:
    with pytest.raises(InputError, match=advice):
        resolve(settings, tmp_path)


@pytest.mark.parametrize(
    ("modules", "pooling"),
    [
        ([TRANSFORMER], None),
        ([TRANSFORMER, POOLING], None),
        ([TRANSFORMER, POOLING], declared()),
        ([TRANSFORMER, POOLING], {"pooling_mode": "attention"}),
        ([TRANSFORMER, POOLING], {"pooling_mode": ["mean", "attention"]}),
    ],
    ids=["no module", "no config", "no mode", "another", "another in a list"],
)
def test_auto_is_refused_for_an_unsupported_pooling(
    tmp_path: Path, modules: list[str], pooling: dict[str, Any] | None
) -> None:
    declare(tmp_path, modules, pooling)
    with pytest.raises(InputError, match="Set pooling to mean, last, cls"):
        resolve(AUTO, tmp_path)


@pytest.mark.parametrize(
    "settings", [AUTO, EncoderSettings(normalize=True), EncoderSettings(pooling="mean")]
)
def test_dense_modules_are_always_as_declared(tmp_path: Path, settings: EncoderSettings) -> None:
    declare(tmp_path, [TRANSFORMER, POOLING, DENSE, DENSE, NORMALIZE], declared("mean"))
    assert resolve(settings, tmp_path).dense == ("2_Dense", "3_Dense")


def test_the_prompt_is_not_pooled_if_the_checkpoint_declares_so(tmp_path: Path) -> None:
    declare(tmp_path, [TRANSFORMER, POOLING], {**declared("mean"), "include_prompt": False})
    prompt = "Represent the abstract: "
    for pooling in ("auto", "mean"):
        settings = EncoderSettings(pooling=pooling, normalize=False, prompt=prompt)
        assert not resolve(settings, tmp_path).include_prompt
    assert resolve(EncoderSettings(prompt=""), tmp_path).include_prompt


# Prompt, length, dtype


def write(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


PROMPTS = {"query": "Query: ", "document": "Document: "}


@pytest.mark.parametrize(
    ("declared_prompts", "prompt"),
    [
        (None, ""),
        ({}, ""),
        ({"prompts": PROMPTS, "default_prompt_name": None}, ""),
        ({"prompts": PROMPTS, "default_prompt_name": "document"}, "Document: "),
    ],
)
def test_auto_uses_the_default_prompt_of_the_checkpoint(
    tmp_path: Path, declared_prompts: object, prompt: str
) -> None:
    declare(tmp_path, [TRANSFORMER, POOLING], declared("mean"))
    if declared_prompts is not None:
        write(tmp_path / "config_sentence_transformers.json", declared_prompts)
    assert resolve(AUTO, tmp_path).prompt == prompt
    for own in ("", "Own: "):
        assert resolve(EncoderSettings(prompt=own), tmp_path).prompt == own


def test_a_missing_default_prompt_is_refused(tmp_path: Path) -> None:
    declare(tmp_path, [TRANSFORMER, POOLING], declared("mean"))
    declared_prompts = {"prompts": PROMPTS, "default_prompt_name": "passage"}
    write(tmp_path / "config_sentence_transformers.json", declared_prompts)
    with pytest.raises(InputError, match=r"default prompt 'passage' .* Set prompt"):
        resolve(AUTO, tmp_path)
    assert resolve(EncoderSettings(prompt=""), tmp_path).prompt == ""


def test_qwen3_and_minilm_have_no_default_prompt(minilm: Path) -> None:
    assert resolve(AUTO, minilm).prompt == ""
    assert resolve(AUTO, qwen3_files()).prompt == ""


@pytest.mark.parametrize(("max_length", "reported"), [(256, False), (257, True)])
def test_a_length_above_the_declared_one_is_reported(
    minilm: Path, caplog: pytest.LogCaptureFixture, max_length: int, reported: bool
) -> None:
    with caplog.at_level(logging.INFO):
        assert resolve(EncoderSettings(max_length=max_length), minilm).max_length == max_length
    assert ("declares max_seq_length 256" in caplog.text) == reported


@pytest.mark.parametrize(
    "name", ["modules.json", "1_Pooling/config.json", "config_sentence_transformers.json"]
)
def test_damaged_declarations_are_refused(tmp_path: Path, name: str) -> None:
    declare(tmp_path, [TRANSFORMER, POOLING], declared("mean"))
    (tmp_path / name).write_text('{"prompts": {"que')
    with pytest.raises(InputError, match=rf"{name} is damaged .* Fetch the checkpoint again"):
        resolve(AUTO, tmp_path)


@pytest.mark.parametrize(
    ("config", "dtype"),
    [
        (None, None),
        ({}, None),
        ({"dtype": "bfloat16"}, "bfloat16"),
        ({"torch_dtype": "float16"}, "float16"),
    ],
)
def test_the_declared_dtype_is_read_under_both_names(
    tmp_path: Path, config: object, dtype: str | None
) -> None:
    if config is not None:
        write(tmp_path / "config.json", config)
    assert declared_dtype(tmp_path) == dtype
