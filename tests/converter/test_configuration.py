"""Test that settings are read as transformers reads them."""

import pytest
from transformers import Phi3Config, PhimoeConfig

from converter.configuration import DecoderSize, read_rope
from converter.errors import ConversionError

SIZES = DecoderSize(500, 128, 256, 2, 4, 4, 8192)
KEY = "original_max_position_embeddings"


def factors(**more):
    return {"rope_type": "longrope", "short_factor": [1.0] * 16, "long_factor": [2.0] * 16, **more}


@pytest.mark.parametrize("spelling", ["rope_parameters", "rope_scaling"])
@pytest.mark.parametrize("config", [{}, {KEY: 500}])
@pytest.mark.parametrize("nested", [{}, {KEY: 300}])
def test_the_line_of_phi3_is_the_configs_own(spelling, config, nested):
    config = {"max_position_embeddings": 8192, **config, spelling: factors(**nested)}
    theirs = Phi3Config(hidden_size=128, num_attention_heads=4, **config).rope_parameters[KEY]
    assert read_rope(config, SIZES, nested_original=False).original_context == theirs


@pytest.mark.parametrize("config", [{}, {KEY: None}])
def test_the_line_of_phimoe_may_stand_beside_the_factors(config):
    config = {
        "max_position_embeddings": 8192,
        **config,
        "rope_scaling": factors(**{KEY: 300}, short_mscale=1.2, long_mscale=1.2),
    }
    theirs = PhimoeConfig(hidden_size=128, num_attention_heads=4, **config).rope_parameters[KEY]
    assert read_rope(config, SIZES).original_context == theirs == 300


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"rope_theta": 0}, "rope_theta = 0.0"), ({KEY: 1}, f"{KEY} = 1"), ({"rope_theta": -1e4}, "rope_theta")],
)
def test_numbers_that_give_no_angles_are_refused(changes, reason):
    with pytest.raises(ConversionError, match=reason):
        read_rope({"max_position_embeddings": 8192, **changes, "rope_scaling": factors()}, SIZES)
