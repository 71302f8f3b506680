import json
from dataclasses import fields, replace

import pytest

from prescreen.encoders import EncoderSpecification, LayoutSpecification, MemberSpecification
from prescreen.errors import PredictorError

FIRST = MemberSpecification(
    network="open_clip:ViT-B-32",
    weights="hub:tag",
    weights_sha256="ab" * 32,
    views=("whole", "face"),
    side=224,
    width=512,
)
SECOND = MemberSpecification(
    network="dlib-face",
    weights="pip:x",
    weights_sha256="cd" * 32,
    views=("chip", "chip-wide"),
    side=150,
    width=128,
    layouts=(LayoutSpecification("early", 48, ("chip-wide",)), LayoutSpecification("late", 96, ("chip", "chip-wide"))),
)
SPECIFICATION = EncoderSpecification(name="clip", members=(FIRST, SECOND))


def test_blocks_tile_the_features_in_order():
    assert SPECIFICATION.dimension == 2 * 512 + 2 * 128 + 48 + 2 * 96
    assert dict(SPECIFICATION.blocks) == {
        "open_clip:ViT-B-32/whole": slice(0, 512),
        "open_clip:ViT-B-32/face": slice(512, 1024),
        "dlib-face/chip": slice(1024, 1152),
        "dlib-face/chip-wide": slice(1152, 1280),
        "dlib-face/chip-wide/early": slice(1280, 1328),
        "dlib-face/chip/late": slice(1328, 1424),
        "dlib-face/chip-wide/late": slice(1424, 1520),
    }


def test_blocks_name_the_columns_of_the_network():
    assert SECOND.output_width == 128 + 48 + 96
    assert list(SECOND.blocks) == [
        ("dlib-face/chip", "chip", slice(0, 128)),
        ("dlib-face/chip-wide", "chip-wide", slice(0, 128)),
        ("dlib-face/chip-wide/early", "chip-wide", slice(128, 176)),
        ("dlib-face/chip/late", "chip", slice(176, 272)),
        ("dlib-face/chip-wide/late", "chip-wide", slice(176, 272)),
    ]


def test_name_and_place_of_the_weights_do_not_change_the_fingerprint():
    elsewhere = replace(
        SPECIFICATION, name="clip:ViT-B-32@weights.pt", members=(replace(FIRST, weights="local:weights.pt"), SECOND)
    )
    assert elsewhere != SPECIFICATION
    assert elsewhere.fingerprint == SPECIFICATION.fingerprint


CHANGES = {
    "network": replace(FIRST, network="open_clip:ViT-B-16"),
    "weights_sha256": replace(FIRST, weights_sha256="ff" * 32),
    "views": replace(FIRST, views=("whole",)),
    "views in another order": replace(FIRST, views=("face", "whole")),
    "side": replace(FIRST, side=256),
    "width": replace(FIRST, width=768),
    "layouts": replace(FIRST, layouts=(LayoutSpecification("late", 96, ("whole",)),)),
    "configuration": replace(FIRST, configuration="ee" * 32),
    "interpolation": replace(FIRST, interpolation="bilinear"),
    "pooled": replace(FIRST, pooled=("whole",)),
}


@pytest.mark.parametrize(
    "changed",
    [
        *(replace(SPECIFICATION, members=(member, SECOND)) for member in CHANGES.values()),
        replace(SPECIFICATION, members=(SECOND, FIRST)),
        replace(SPECIFICATION, members=(FIRST,)),
        replace(SPECIFICATION, members=(FIRST, replace(SECOND, layouts=SECOND.layouts[:1]))),
        replace(SPECIFICATION, mirror=False),
        replace(SPECIFICATION, precision="bf16"),
        replace(SPECIFICATION, preprocessing="images 0"),
    ],
    ids=[*CHANGES, "order of networks", "a network less", "a layout less", "mirror", "precision", "preprocessing"],
)
def test_whatever_changes_vectors_changes_the_fingerprint(changed):
    assert changed.fingerprint != SPECIFICATION.fingerprint


def test_every_field_is_tested_above():
    assert {field.name for field in fields(MemberSpecification)} - {"weights"} == set(CHANGES) - {
        "views in another order"
    }
    assert {field.name for field in fields(EncoderSpecification)} == {
        "name", "members", "mirror", "precision", "preprocessing"
    }  # fmt: skip


def test_fingerprint_is_the_same_in_every_process():
    """Caches and predictors that exist are known by it: a change here makes them all useless."""
    pinned = "497444a4d8d20f65bc8a5d16d3f115e72ac73c948f462e33b22d5aeda41ee2e6"
    assert replace(SPECIFICATION, preprocessing="images 1").fingerprint == pinned


def test_manifests_of_before_mean_bicubic_and_all_views_pooled():
    older = SPECIFICATION.to_json()
    for member in older["members"]:
        del member["interpolation"], member["pooled"]
    assert EncoderSpecification.from_json(older) == SPECIFICATION


def test_json_round_trip():
    text = json.dumps(SPECIFICATION.to_json())
    again = EncoderSpecification.from_json(json.loads(text))
    assert again == SPECIFICATION
    assert again.fingerprint == SPECIFICATION.fingerprint
    assert hash(again) == hash(SPECIFICATION)


def without(content, key):
    return {name: value for name, value in content.items() if name != key}


@pytest.mark.parametrize(
    "damaged",
    [
        without(SPECIFICATION.to_json(), "members"),
        without(SPECIFICATION.to_json(), "name"),
        SPECIFICATION.to_json() | {"colour": "grey"},
        SPECIFICATION.to_json() | {"members": [without(FIRST.__dict__, "views")]},
        SPECIFICATION.to_json() | {"members": [FIRST.__dict__ | {"colour": "grey"}]},
        SPECIFICATION.to_json() | {"members": [FIRST.__dict__ | {"layouts": [{"name": "late", "width": 96}]}]},
        SPECIFICATION.to_json() | {"members": [FIRST.__dict__ | {"layouts": 7}]},
        SPECIFICATION.to_json() | {"members": [7]},
        SPECIFICATION.to_json() | {"members": None},
        [1, 2],
        "text",
        None,
    ],
)
def test_a_damaged_manifest_is_refused(damaged):
    with pytest.raises(PredictorError, match="manifest is damaged"):
        EncoderSpecification.from_json(damaged)
