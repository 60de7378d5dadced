"""A checkpoint whose vectors would be wrong, or whose jobs would fail, is refused when it is fetched."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import transformers
from arxiv_embeddings.checkpoint.fetch import fetch_model
from arxiv_embeddings.checkpoint.judge import judge
from arxiv_embeddings.checkpoint.weights import try_out
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from sentence_transformers import SentenceTransformer
from support.models import (
    TextEncoder,
    copy_files,
    cosines,
    edit_json,
    edit_weights,
    make_bert,
    random_model,
    topics,
)

CPU = torch.device("cpu")
ASKED = EncoderSettings(dtype="float32", max_length=128)
VOCABULARY = 30_522
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": VOCABULARY,
    "pad_token_id": 0,
}


@pytest.fixture
def bert(minilm: Path, tmp_path: Path) -> Path:
    return make_bert(minilm, tmp_path / "bert")


def refused(source: Path, settings: EncoderSettings = ASKED) -> str:
    """Check that the checkpoint is refused when it is fetched, with nothing left; return the message."""
    with pytest.raises(InputError) as caught:
        fetch_model(str(source), None, source.parent / "fetched", settings)
    assert not (source.parent / "fetched").exists()
    message = str(caught.value)
    assert ".partial" not in message
    # What is wrong, and then an instruction.
    assert re.search(r"(Choose|Set|Lower|Merge|Fetch|Convert) ", message.split(". ")[-1])
    return message


# Code of the checkpoint's own


@pytest.mark.parametrize("name", ["AutoModel", "AutoModelForCausalLM", "AutoConfig"])
def test_code_of_its_own_is_refused_although_transformers_knows_the_type(
    bert: Path, name: str
) -> None:
    edit_json(bert / "config.json", lambda it: it.update(auto_map={name: "modeling.Model"}))
    message = refused(bert)
    assert f"code of the checkpoint's own for {name}" in message
    assert "set architecture to stock" in message


def test_tokenizer_of_its_own_is_refused(bert: Path) -> None:
    edit_json(
        bert / "tokenizer_config.json",
        lambda it: it.update(auto_map={"AutoTokenizer": ["tok.T", None]}),
    )
    assert "AutoTokenizer" in refused(bert)


def test_stock_architecture_takes_the_class_of_transformers_and_is_recorded(
    bert: Path, tmp_path: Path
) -> None:
    edit_json(bert / "config.json", lambda it: it.update(auto_map={"AutoModel": "m.M"}))
    asked = EncoderSettings(dtype="float32", architecture="stock")
    fetch_model(str(bert), None, tmp_path / "fetched", asked)
    encoder = TextEncoder(tmp_path / "fetched", asked, CPU)
    assert encoder.settings.to_dict()["architecture"] == "stock"


@pytest.mark.parametrize(
    "name",
    ["custom_st.Transformer", "my_pooling.Pooling", "transformers.models.Pooling", "Normalize"],
)
def test_module_of_foreign_code_is_refused(bert: Path, name: str) -> None:
    place = 0 if name.endswith("Transformer") else 1
    edit_json(bert / "modules.json", lambda it: it[place].update(type=name))
    assert f"names the module {name}, which is code of the checkpoint's own" in refused(bert)


# Tensors


def test_tensors_that_the_model_does_not_use_are_refused_and_named(bert: Path) -> None:
    edit_json(bert / "config.json", lambda it: it.update(num_hidden_layers=1))
    message = refused(bert)
    assert "hold 16 tensors (encoder.layer.1." in message


def test_missing_tensors_are_refused_and_named(bert: Path) -> None:
    edit_weights(bert, lambda it: it.pop("encoder.layer.1.output.dense.weight"))
    assert "lack 1 tensors (encoder.layer.1.output.dense.weight)" in refused(bert)


def test_tensors_of_another_size_are_refused(bert: Path) -> None:
    edit_json(bert / "config.json", lambda it: it.update(intermediate_size=256))
    assert "cannot be loaded" in refused(bert)


def test_quantized_weights_are_refused_whatever_is_installed(bert: Path) -> None:
    quantized = {"quant_method": "gptq", "bits": 4}
    edit_json(bert / "config.json", lambda it: it.update(quantization_config=quantized))
    assert "are quantized" in refused(bert)


HEADS = {
    "bert": "BertForPreTraining",
    "albert": "AlbertForMaskedLM",
    "electra": "ElectraForPreTraining",
    "distilbert": "DistilBertForMaskedLM",
    "mpnet": "MPNetForMaskedLM",
    "roberta": "RobertaForSequenceClassification",
    "xlm-roberta": "XLMRobertaForMaskedLM",
    "modernbert": "ModernBertForMaskedLM",
    "deberta-v2": "DebertaV2ForMaskedLM",
    "qwen2": "Qwen2ForCausalLM",
    "gpt2": "GPT2LMHeadModel",
    "t5": "T5ForConditionalGeneration",
}


@pytest.mark.parametrize("kind", HEADS)
def test_heads_are_not_needed(minilm: Path, tmp_path: Path, kind: str) -> None:
    source = copy_files(minilm, tmp_path / "source")
    config = transformers.AutoConfig.for_model(
        kind,
        **SIZES
        | {"vocab_size": VOCABULARY + 8, "tie_word_embeddings": False, "num_key_value_heads": 4},
    )
    getattr(transformers, HEADS[kind])(config).save_pretrained(source)
    edit_json(
        source / "tokenizer_config.json",
        lambda it: it.update(model_input_names=["input_ids", "attention_mask"]),
    )
    fetch_model(str(source), None, tmp_path / "fetched", ASKED)


def test_judging_reads_no_weights_and_takes_seconds(bert: Path) -> None:
    start = time.perf_counter()
    judge(bert, ASKED)
    assert time.perf_counter() - start < 20


# Declarations


@pytest.mark.parametrize(
    ("file", "declared", "message"),
    [
        (
            "sentence_bert_config.json",
            {
                "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
                "module_output_name": "token_embeddings",
            },
            "declares modality_config",
        ),
        (
            "sentence_bert_config.json",
            {"tokenizer_args": {"padding_side": "left"}},
            "tokenizer_args",
        ),
        ("sentence_bert_config.json", {"model_args": {"add_pooling_layer": False}}, "model_args"),
        ("sentence_bert_config.json", {"config_kwargs": {"is_causal": False}}, "config_kwargs"),
        (
            "sentence_bert_config.json",
            {"module_output_name": "sentence_embedding"},
            "module_output",
        ),
        ("sentence_roberta_config.json", {"query_length": 32}, "query_length"),
        ("config_sentence_transformers.json", {"truncate_dim": 32}, "declares truncate_dim 32"),
    ],
)
def test_declaration_that_changes_vectors_is_refused(
    bert: Path, file: str, declared: Any, message: str
) -> None:
    (bert / "sentence_bert_config.json").unlink()
    (bert / file).write_text(json.dumps(declared))
    assert message in refused(bert)


def test_declared_truncation_is_the_users_choice(bert: Path, tmp_path: Path) -> None:
    (bert / "config_sentence_transformers.json").write_text('{"truncate_dim": 32}')
    asked = EncoderSettings(dtype="float32", dimensions=32)
    fetch_model(str(bert), None, tmp_path / "fetched", asked)


def test_harmless_declarations_are_accepted(bert: Path, tmp_path: Path) -> None:
    text = {"method": "forward", "method_output_name": "last_hidden_state"}
    declared = {
        "modality_config": {"text": text, "message": {**text, "format": "flat"}},
        "module_output_name": "token_embeddings",
        "transformer_task": "feature-extraction",
        "config_args": {"trust_remote_code": True},
        "query_length": None,
        "unpad_inputs": False,
    }
    (bert / "sentence_bert_config.json").write_text(json.dumps(declared))
    fetch_model(str(bert), None, tmp_path / "fetched", ASKED)


PREFIX = "sentence_transformers.models."


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (["Transformer", "Normalize", "Pooling"], "in this order"),
        (["Transformer", "Dense", "Pooling"], "in this order"),
        (["Transformer", "Pooling", "Pooling"], "in this order"),
        (["Pooling"], "in this order"),
        (["Transformer", "Pooling", "LayerNorm"], "declares a LayerNorm module"),
        (["StaticEmbedding"], "declares a StaticEmbedding module"),
        (["CLIPModel"], "declares a CLIPModel module"),
    ],
)
@pytest.mark.parametrize("explicit", [False, True])
def test_other_modules_are_refused(
    bert: Path, kinds: list[str], message: str, explicit: bool
) -> None:
    listed = [
        {"idx": i, "name": str(i), "path": "" if i == 0 else f"{i}_{kind}", "type": PREFIX + kind}
        for i, kind in enumerate(kinds)
    ]
    (bert / "modules.json").write_text(json.dumps(listed))
    settings = EncoderSettings(pooling="mean", normalize=False) if explicit else ASKED
    assert message in refused(bert, settings)


def test_module_outside_the_checkpoint_is_refused(bert: Path) -> None:
    edit_json(bert / "modules.json", lambda it: it[1].update(path="../../other"))
    assert "outside the checkpoint" in refused(bert)


def declare_dense(bert: Path, config: dict[str, Any], inputs: int = 64) -> None:
    """Add a Dense module whose config has more or other keys."""
    edit_json(
        bert / "modules.json",
        lambda it: it.insert(2, {"idx": 2, "name": "2", "path": "2_D", "type": f"{PREFIX}Dense"}),
    )
    (bert / "2_D").mkdir()
    declared = {"in_features": inputs, "out_features": 16, "bias": False, **config}
    (bert / "2_D/config.json").write_text(json.dumps(declared))
    weights = {"linear.weight": torch.ones(16, inputs)}
    safetensors.torch.save_file(weights, bert / "2_D/model.safetensors")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"activation_function": "my_code.Activation"}, "my_code.Activation"),
        ({"activation_function": "torch.nn.modules.module.register"}, "register"),
        ({"use_residual": True}, "use_residual"),
        ({"module_input_name": "token_embeddings"}, "token_embeddings"),
        ({"bias": True}, "is damaged"),
        ({"out_features": 17}, "is damaged"),
    ],
)
def test_dense_module_that_is_not_supported_is_refused(
    bert: Path, config: dict[str, Any], message: str
) -> None:
    declare_dense(bert, config)
    assert message in refused(bert)


def test_dense_module_that_does_not_fit_is_refused(bert: Path) -> None:
    declare_dense(bert, {}, inputs=32)
    assert "takes vectors of 32 components, but gets 64" in refused(bert)


def test_dense_module_with_pickled_weights_is_refused(bert: Path) -> None:
    declare_dense(bert, {})
    (bert / "2_D/model.safetensors").rename(bert / "2_D/pytorch_model.bin")
    assert "has no model.safetensors" in refused(bert)


def test_dimensions_are_those_behind_the_dense_module(bert: Path, tmp_path: Path) -> None:
    declare_dense(bert, {})
    with pytest.raises(InputError, match="dimensions is 17, but the checkpoint's vectors have 16"):
        fetch_model(str(bert), None, tmp_path / "fetched", EncoderSettings(dimensions=17))
    fetch_model(str(bert), None, tmp_path / "fetched", EncoderSettings(dimensions=16))


@pytest.mark.parametrize("with_weights", [True, False])
def test_adapter_is_refused_with_the_way_to_merge_it(bert: Path, with_weights: bool) -> None:
    (bert / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/base"}')
    if not with_weights:
        (bert / "config.json").unlink()
        (bert / "model.safetensors").rename(bert / "adapter_model.safetensors")
    message = refused(bert)
    assert "an adapter (adapter_config.json) for the base model owner/base" in message
    assert "merge_and_unload" in message


# Tokens and positions


@pytest.fixture
def mistral(minilm: Path, tmp_path: Path) -> Path:
    """A decoder whose tokenizer declares an end token that its template does not add."""
    folder = copy_files(minilm, tmp_path / "mistral")
    config = transformers.AutoConfig.for_model(
        "mistral", **SIZES, num_key_value_heads=2, head_dim=16
    )
    random_model(config).save_pretrained(folder)
    set_template(folder, [{"Sequence": {"id": "A", "type_id": 0}}])
    edit_json(
        folder / "tokenizer_config.json",
        lambda it: it.update(
            add_eos_token=True,
            eos_token="[SEP]",  # noqa: S106
            tokenizer_class="PreTrainedTokenizerFast",
            model_input_names=["input_ids", "attention_mask"],
        ),
    )
    return folder


def set_template(folder: Path, template: list[dict[str, Any]]) -> None:
    edit_json(
        folder / "tokenizer.json",
        lambda it: it["post_processor"].update(single=template),
    )


@pytest.mark.parametrize("max_length", [16, 128])
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_declared_end_token_is_put_back(
    mistral: Path, tmp_path: Path, made_snapshot: Path, pooling: str, max_length: int
) -> None:
    asked = EncoderSettings(pooling=pooling, dtype="float32", max_length=max_length)
    fetch_model(str(mistral), None, tmp_path / "fetched", asked)
    encoder = TextEncoder(tmp_path / "fetched", asked, CPU)
    assert encoder.settings.to_dict()["end_token"] == "[SEP]"  # noqa: S105
    texts = ["", *topics(made_snapshot, 4)]
    rows = encoder.tokenize(texts)
    assert {row[-1] for row in rows} == {102}
    assert max(map(len, rows)) == max_length
    # With a template that adds the token, sentence-transformers is right too.
    end = {"SpecialToken": {"id": "[SEP]", "type_id": 0}}
    set_template(mistral, [{"Sequence": {"id": "A", "type_id": 0}}, end])
    edit_json(mistral / "1_Pooling/config.json", lambda it: it.clear())
    name = {"last": "lasttoken"}.get(pooling, pooling)
    declared = {"embedding_dimension": 64, "pooling_mode": name}
    (mistral / "1_Pooling/config.json").write_text(json.dumps(declared))
    reference = SentenceTransformer(str(mistral), device="cpu")
    reference.max_seq_length = max_length
    vectors = encoder.encode(rows)
    assert cosines(vectors, reference.encode(texts)).min() >= 0.999999


def test_end_token_that_the_template_adds_is_not_added_twice(mistral: Path) -> None:
    end = {"SpecialToken": {"id": "[SEP]", "type_id": 0}}
    set_template(mistral, [{"Sequence": {"id": "A", "type_id": 0}}, end])
    assert judge(mistral, ASKED).end_token == ""


def test_tokenizer_with_more_tokens_than_the_model_is_refused(bert: Path) -> None:
    weights = "embeddings.word_embeddings.weight"
    edit_weights(bert, lambda it: it.update({weights: it[weights][:1000].clone()}))
    edit_json(bert / "config.json", lambda it: it.update(vocab_size=1000))
    message = refused(bert)
    assert "has the token id 30521, but the model has embeddings for only 1000 tokens" in message


@pytest.mark.parametrize(
    ("kind", "pad", "limit"),
    [("roberta", 1, 512), ("xlm-roberta", 1, 512), ("camembert", 2, 511), ("mpnet", 0, 512)],
)
def test_limit_of_models_that_count_positions_from_the_padding_token(
    minilm: Path, tmp_path: Path, kind: str, pad: int, limit: int
) -> None:
    source = copy_files(minilm, tmp_path / "source")
    sizes = SIZES | {"pad_token_id": pad, "max_position_embeddings": 514}
    random_model(transformers.AutoConfig.for_model(kind, **sizes)).save_pretrained(source)
    edit_json(source / "tokenizer_config.json", lambda it: it.update(model_max_length=514))
    asked = EncoderSettings(dtype="float32", max_length=limit + 1)
    message = refused(source, asked)
    assert f"max_length is {limit + 1}, but the checkpoint takes {limit} tokens at most" in message
    asked = EncoderSettings(dtype="float32", max_length=limit)
    fetch_model(str(source), None, tmp_path / "fetched", asked)
    encoder = TextEncoder(tmp_path / "fetched", asked, CPU)
    assert encoder.encode(encoder.tokenize(["word " * 600])).shape == (1, 64)


@pytest.mark.parametrize("kind", ["gemma3", "qwen3_vl", "clip", "vit", "bart", "dpr"])
def test_models_of_more_than_text_are_refused(minilm: Path, tmp_path: Path, kind: str) -> None:
    """Small ones, so that they are built at once."""
    text = SIZES | {"num_key_value_heads": 2, "head_dim": 16}
    vision: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 1, "num_heads": 4, "depth": 1}
    vision |= {"intermediate_size": 64, "num_attention_heads": 4, "out_hidden_size": 64}
    vision |= {"deepstack_visual_indexes": [0]}
    options: dict[str, dict[str, Any]] = {
        "gemma3": {"text_config": text, "vision_config": vision},
        "qwen3_vl": {"text_config": text, "vision_config": vision},
        "clip": {"text_config": SIZES, "vision_config": vision},
        "vit": {**vision},
        "bart": {
            "d_model": 64,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "vocab_size": VOCABULARY,
        },
        "dpr": {**SIZES, "projection_dim": 32},
    }
    source = copy_files(minilm, tmp_path / "source")
    config = transformers.AutoConfig.for_model(kind, **options[kind])
    transformers.AutoModel.from_config(config).save_pretrained(source)
    reasons = {"bart": "has an encoder and a decoder", "dpr": "has no hidden states of tokens"}
    assert reasons.get(kind, "is not a model of texts alone") in refused(source)


@pytest.mark.parametrize("kind", ["fnet", "convbert", "mobilebert", "nystromformer", "yoso"])
def test_models_that_mix_padding_into_texts_are_refused(
    minilm: Path, tmp_path: Path, kind: str
) -> None:
    source = copy_files(minilm, tmp_path / "source")
    random_model(transformers.AutoConfig.for_model(kind, **SIZES)).save_pretrained(source)
    assert "depend on the other texts of their batch" in refused(source)


def test_vectors_of_a_projection_are_of_its_size(minilm: Path, tmp_path: Path) -> None:
    source = copy_files(minilm, tmp_path / "source")
    sizes = {**SIZES, "ffn_dim": 128, "word_embed_proj_dim": 32}
    random_model(transformers.AutoConfig.for_model("opt", **sizes)).save_pretrained(source)
    with pytest.raises(InputError, match="dimensions is 33, but the checkpoint's vectors have 32"):
        judge(source, EncoderSettings(dimensions=33))
    judge(source, EncoderSettings(dimensions=32))


@pytest.mark.parametrize("scale", [1e-4, 1, 1e3])
def test_small_hidden_states_are_not_causal(bert: Path, scale: float) -> None:
    model = transformers.AutoModel.from_pretrained(bert, dtype=torch.float32)
    norm = model.encoder.layer[-1].output.LayerNorm
    with torch.no_grad():
        norm.weight.mul_(scale)
        norm.bias.mul_(scale)
    assert try_out(model) == (False, 64)


@pytest.mark.parametrize("scale", [1e-4, 1, 1e3])
def test_causal_models_are_causal_at_every_scale(mistral: Path, scale: float) -> None:
    model = transformers.AutoModel.from_pretrained(mistral, dtype=torch.bfloat16)
    with torch.no_grad():
        model.norm.weight.mul_(scale)
    assert try_out(model) == (True, 64)
