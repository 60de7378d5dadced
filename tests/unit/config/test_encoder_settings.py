"""Encoder settings are read back as they were written, and older manifests stay valid."""

import json

import pytest
from arxiv_embeddings.config.encoder_settings import LATER_FIELDS, EncoderSettings

# The fields that manifests had first.
FIRST_FIELDS = {"pooling", "max_length", "normalize", "dtype", "prompt", "dimensions", "engine"}

CHANGED = {
    "architecture": "stock",
    "include_prompt": False,
    "lower_case": True,
    "end_token": "</s>",
    "dense": ["2_Dense", "3_Dense"],
}


def test_settings_of_a_checkpoint_without_specialities_are_those_of_older_manifests() -> None:
    assert EncoderSettings().to_dict().keys() == FIRST_FIELDS
    assert EncoderSettings().engine == 2


@pytest.mark.parametrize("name", LATER_FIELDS)
def test_later_field_is_written_when_it_is_not_the_default(name: str) -> None:
    settings = EncoderSettings.from_json(json.dumps({name: CHANGED[name]}))
    assert settings.to_dict().keys() == FIRST_FIELDS | {name}
    assert settings.to_dict()[name] == CHANGED[name]


def test_settings_are_read_back_as_they_were_written() -> None:
    settings = EncoderSettings.from_json(json.dumps(CHANGED))
    assert EncoderSettings.from_json(settings.to_json()) == settings
    # A manifest holds what JSON makes of them.
    assert json.loads(settings.to_json()) == settings.to_dict()


def test_unknown_name_is_refused() -> None:
    with pytest.raises(TypeError):
        EncoderSettings.from_json('{"poolin": "mean"}')
