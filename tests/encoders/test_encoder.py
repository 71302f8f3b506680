from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heard import Heard
from prescreen.encoders import (
    IDENTITY_BLOCK,
    PREPROCESSING_VERSION,
    VIEWS,
    Encoder,
    EncoderSpecification,
    MemberSpecification,
    make_encoder,
)
from prescreen.encoders.bundled import EFFICIENTNET, FACE
from prescreen.errors import EncoderError, PredictorMismatch, UsageError
from prescreen.images.faces import Face, find_face
from prescreen.images.views import View, cut
from prescreen.workflow import embed

IMAGES = Path(__file__).parents[2] / "data" / "sample" / "training" / "images"


def cut_views(encoder, picture, face):
    return {view: cut(picture, face, view) for view in encoder.views}


@pytest.fixture(scope="module", params=["face", "tiny clip", "bundled"])
def encoder(request, clip_folder):
    if request.param == "face":
        return Encoder(EncoderSpecification(name="face", members=(FACE,)))
    return make_encoder("bundled" if request.param == "bundled" else f"clip:tiny@{clip_folder}", "f32", mirror=True)


@pytest.fixture(scope="module")
def views(encoder, portraits):
    return [cut_views(encoder, picture, face) for picture, face in portraits]


@pytest.fixture(scope="module")
def vectors(encoder, views):
    return encoder.encode(views)


def test_a_row_of_half_precision_for_each_picture(encoder, vectors):
    assert vectors.shape == (5, encoder.specification.dimension)
    assert vectors.dtype == np.float16
    assert np.isfinite(vectors).all()


def test_blocks_tile_the_vector(encoder):
    blocks = list(encoder.specification.blocks.values())
    assert blocks[0].start == 0
    assert [block.start for block in blocks[1:]] == [block.stop for block in blocks[:-1]]
    assert blocks[-1].stop == encoder.specification.dimension
    assert IDENTITY_BLOCK in encoder.specification.blocks


def test_every_block_tells_pictures_apart(encoder, vectors):
    for block in encoder.specification.blocks.values():
        assert np.ptp(vectors[:, block].astype(float), axis=0).max() > 0.01


def test_the_same_picture_gets_the_same_vector_in_any_company(encoder, views, vectors):
    assert np.array_equal(encoder.encode(views), vectors)
    assert np.array_equal(encoder.encode(views[::-1]), vectors[::-1])
    assert np.array_equal(encoder.encode(views[3:4]), vectors[3:4])


def test_a_second_encoder_of_the_same_specification_gives_the_same_vectors(encoder, views, vectors):
    again = Encoder(EncoderSpecification.from_json(encoder.specification.to_json()))
    assert np.array_equal(again.encode(views[:1]), vectors[:1])


def test_a_mirror_image_gets_nearly_the_same_vector(encoder, portraits, vectors):
    mirrors = [picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for picture, _ in portraits]
    found = encoder.encode([cut_views(encoder, mirror, find_face(mirror)) for mirror in mirrors]).astype(float)
    for block in encoder.specification.blocks.values():
        apart = np.linalg.norm(found[:, block] - vectors[:, block], axis=1)
        others = np.linalg.norm(vectors[1:, block].astype(float) - vectors[:-1, block], axis=1)
        assert apart.max() < 0.2 * others.min()


def test_without_mirroring_a_mirror_image_is_another_picture(portraits, clip_folder):
    encoder = make_encoder(f"clip:tiny@{clip_folder}", mirror=False)
    specification = encoder.specification
    views = cut_views(encoder, *portraits[0])
    mirrored = {view: np.ascontiguousarray(pixels[:, ::-1]) for view, pixels in views.items()}
    one, other = encoder.encode([views, mirrored]).astype(float)
    both = Encoder(replace(specification, mirror=True)).encode([views]).astype(float)
    np.testing.assert_allclose(both[0], (one + other) / 2, atol=2e-3)
    for name, block in specification.blocks.items():
        apart = np.abs(one[block] - other[block]).max()
        assert apart < 2e-3 if FACE.network in name else apart > 0.01  # descriptors are the same in every encoder


@pytest.mark.parametrize("name", ["clip", "bundled"])
def test_views_are_chosen_and_are_those_of_the_encoder_with_all(name, portraits, clip_folder):
    name = f"clip:tiny@{clip_folder}" if name == "clip" else name
    every = make_encoder(name, views=VIEWS, mirror=False)
    few = make_encoder(name, views=("mouth", "whole", "mouth"), mirror=False)
    found, expected = (encoder.encode([cut_views(encoder, *portraits[0])])[0] for encoder in (few, every))
    assert few.specification.members[0].views == ("whole", "mouth")  # one order, whatever was typed
    blocks = few.specification.blocks
    assert {block for block in blocks if "dlib" not in block} == {
        block for block in every.specification.blocks if "/whole" in block or "/mouth" in block
    }
    for block, columns in blocks.items():
        assert np.array_equal(found[columns], expected[every.specification.blocks[block]])
    assert few.specification.fingerprint != every.specification.fingerprint
    assert EncoderSpecification.from_json(few.specification.to_json()) == few.specification


def test_which_views_are_the_defaults(clip_folder):
    clip = make_encoder(f"clip:tiny@{clip_folder}").specification
    assert (clip.members[0].views, clip.mirror) == (("whole", "face"), False)
    bundled = make_encoder("bundled", "f32").specification
    assert (bundled.members[0], bundled.mirror) == (EFFICIENTNET, False)
    # Part of every cache, and of every predictor made with it:
    assert bundled.fingerprint == "c6c2ee23fe1a6de229a06e68923fe5498ee141dab0a588ee7b586fe1caf4de84"
    assert not make_encoder(f"clip:tiny@{clip_folder}+bundled").specification.mirror


@pytest.mark.parametrize(("views", "message"), [(("fase",), "did you mean 'face'"), ((), "no views"), (("",), "view")])
def test_what_is_no_view_is_a_usage_error(views, message):
    with pytest.raises(UsageError, match=message):
        make_encoder("bundled", views=views)


def test_a_predictor_of_yesterday_s_clip_names_its_network_and_is_to_be_trained_again():
    member = MemberSpecification(
        network="open_clip:ViT-L-14",
        weights="hub:datacomp_xl_s13b_b90k@84c9828e63dc9a9351d1fe637c346d4c1c4db341",
        weights_sha256="ab" * 32,
        views=("whole", "face", "eyes", "mouth"),
        side=224,
        width=768,
        configuration="cd" * 32,
    )
    manifest = EncoderSpecification("clip", (member, FACE), preprocessing="images 2, faces 1, views 1").to_json()
    read = EncoderSpecification.from_json(manifest)
    assert read.choice == "clip:ViT-L-14/datacomp_xl_s13b_b90k"
    assert replace(read, name="clip+bundled", members=(member, EFFICIENTNET, FACE)).choice == f"{read.choice}+bundled"
    assert read.options == f"--encoder {read.choice} --views whole,face,eyes,mouth --mirror --precision f32"
    with pytest.raises(PredictorMismatch, match="train again or install the version that made it"):
        Encoder(read)


def test_views_and_mirror_images_of_an_older_predictor_are_seen_as_before(portraits, clip_folder):
    today = make_encoder(f"clip:tiny@{clip_folder}").specification
    member = replace(today.members[0], views=("whole", "face", "eyes", "mouth"))
    older = {**replace(today, members=(member, FACE)).to_json(), "name": "clip", "mirror": True}
    encoder = Encoder(EncoderSpecification.from_json(older))
    views = cut_views(encoder, *portraits[0])
    found = encoder.encode([views])[0]
    network = encoder._networks[0]
    for name in member.views:
        pixels = views[View(name, member.side)]
        expected = network(np.stack([pixels, pixels[:, ::-1]])).mean(axis=0).astype(np.float16)
        np.testing.assert_allclose(found[encoder.specification.blocks[f"open_clip:tiny/{name}"]], expected, atol=1e-3)


def test_descriptors_of_one_person_are_near(encoder):
    pictures = [Image.open(IMAGES / f"{number:03d}.jpg").convert("RGB") for number in (4, 5, 6, 16, 17, 18)]
    vectors = encoder.encode([cut_views(encoder, picture, find_face(picture)) for picture in pictures]).astype(float)
    descriptors = vectors[:, encoder.specification.blocks[IDENTITY_BLOCK]]
    distances = np.linalg.norm(descriptors[:, None] - descriptors, axis=2)
    assert distances[:3, :3].max() < 0.6
    assert distances[3:, 3:].max() < 0.6
    assert distances[:3, 3:].min() > distances[:3, :3].max()


def test_a_union_has_the_blocks_of_all_its_networks(clip_folder):
    clip, bundled = make_encoder(f"clip:tiny@{clip_folder}", mirror=True), make_encoder("bundled")
    union = make_encoder(f"clip:tiny@{clip_folder}+bundled")
    own = [name for encoder in (clip, bundled) for name in encoder.specification.blocks if "dlib" not in name]
    assert list(union.specification.blocks)[: len(own)] == own
    faces = list(union.specification.blocks)[len(own) :]
    assert faces == [name for name, _, _ in FACE.blocks]
    face = sum(columns.stop - columns.start for _, _, columns in FACE.blocks)
    dimensions = clip.specification.dimension, bundled.specification.dimension
    assert union.specification.dimension == sum(dimensions) - face
    assert union.specification.fingerprint not in (clip.specification.fingerprint, bundled.specification.fingerprint)


def test_a_union_s_vectors_are_those_of_its_networks(clip_folder, portraits):
    names = f"clip:tiny@{clip_folder}+bundled", f"clip:tiny@{clip_folder}", "bundled"
    encoders = [make_encoder(name, mirror=True) for name in names]
    found = [encoder.encode([cut_views(encoder, *portraits[0])])[0] for encoder in encoders]
    for encoder, vector in zip(encoders[1:], found[1:], strict=True):
        for name, block in encoder.specification.blocks.items():
            assert np.array_equal(found[0][encoders[0].specification.blocks[name]], vector[block])


@pytest.mark.parametrize(
    ("name", "meant"), [("bundeld", "bundled"), ("clp", "clip"), ("Bundled", "bundled"), ("clip+bundle", "bundled")]
)
def test_a_misspelt_name_is_a_usage_error_with_a_suggestion(name, meant):
    with pytest.raises(UsageError, match=f"did you mean '{meant}"):
        make_encoder(name)


@pytest.mark.parametrize("name", ["", "clip:", "bundled:", "bundled+", "+", "resnet", "bundled+bundled"])
def test_what_is_no_encoder_is_a_usage_error(name):
    with pytest.raises(UsageError, match="encoder"):
        make_encoder(name)


@pytest.mark.parametrize("other", [PREPROCESSING_VERSION + " and more", "images 3, faces 1, views 1"])
def test_another_preprocessing_is_refused(other):
    with pytest.raises(PredictorMismatch, match="train again or install the version that made it"):
        Encoder(EncoderSpecification(name="face", members=(FACE,), preprocessing=other))


def test_an_unknown_network_is_refused():
    with pytest.raises(PredictorMismatch, match="resnet"):
        Encoder(EncoderSpecification(name="other", members=(replace(FACE, network="resnet"),)))


@pytest.mark.parametrize("member", [FACE, EFFICIENTNET])
def test_other_weights_than_the_installed_ones_are_refused(member):
    encoder = Encoder(EncoderSpecification(name="old", members=(replace(member, weights_sha256="0" * 64),)))
    with pytest.raises(EncoderError, match="train again"):
        encoder.load()


def test_unknown_views_are_refused():
    with pytest.raises(PredictorMismatch, match="hands"):
        Encoder(EncoderSpecification(name="other", members=(replace(FACE, views=("hands",)),)))


def test_a_layout_of_a_view_that_the_network_does_not_see_is_refused():
    with pytest.raises(PredictorMismatch, match="chip-wide"):
        Encoder(EncoderSpecification(name="other", members=(replace(FACE, views=("chip", "chip-tight")),)))


PINNED = {
    "efficientnet-lite2/whole": (-1.3320, 2.2773, -2.8828, -0.8887),
    "efficientnet-lite2/face": (-0.8608, 2.4102, -4.3320, 0.7134),
    "efficientnet-lite2/eyes": (-0.8901, 1.6748, -4.8984, 0.7749),
    "efficientnet-lite2/mouth": (-0.5864, 2.7949, -4.6641, 0.0056),
    "efficientnet-lite2/whole/block-18-folded": (5.2930, 7.4805, 5.8320, 7.3281),
    "efficientnet-lite2/mouth/block-18-folded": (5.2422, 3.0117, 9.8672, 10.9453),
    "efficientnet-lite2/whole/block-21-folded": (-0.0360, 0.8721, -0.7988, -0.4792),
    "dlib-face/chip": (-0.1316, 0.0935, 0.0404, 0.0295),
    "dlib-face/chip/residual-10-fine": (0.9824, 0.9922, 1.3633, 0.7612),
    "dlib-face/chip-tight/residual-10-fine": (1.1152, 0.8213, 1.0391, 0.8013),
    "dlib-face/chip-wide/residual-10-fine": (0.6235, 0.6289, 0.9258, 0.8745),
    "dlib-face/chip/residual-14": (1.0430, 1.5273, 1.4258, 1.7744),
    "dlib-face/chip-tight/residual-14": (1.4004, 1.6025, 1.8301, 2.0371),
    "dlib-face/chip-wide/residual-14": (0.3623, 1.0488, 1.2520, 1.6709),
}


def test_vectors_are_those_that_predictors_were_trained_with():
    """Where this fails on purpose, raise the version of what changed, or trained predictors give wrong scores."""
    encoder = make_encoder("bundled", "f32")
    landmarks = [[215.8, 152.1], [183.5, 154.8], [105.6, 152.9], [136.7, 155.0], [154.3, 211.4]]
    face = Face((0, 0, 1, 1), np.array(landmarks), "hog", 1)
    picture = Image.open(IMAGES / "001.jpg").convert("RGB")
    vector = encoder.encode([cut_views(encoder, picture, face)])[0]
    assert set(encoder.specification.blocks) == set(PINNED)
    for name, block in encoder.specification.blocks.items():
        np.testing.assert_allclose(vector[block][:4], PINNED[name], rtol=0.01, atol=0.002)


def test_vectors_of_another_precision_are_another_encoder_s(clip_folder, computes_in):
    computes_in("f32", "bf16")
    plain, fast = (make_encoder(f"clip:tiny@{clip_folder}", precision) for precision in ("f32", "bf16"))
    assert plain.specification.fingerprint != fast.specification.fingerprint
    assert {network.precision for network in fast._networks} == {"bf16"}
    assert {network.precision for network in plain._networks} == {"f32"}


def test_the_first_conversion_of_each_network_is_foretold(clip_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / "cache"))
    name, heard = f"clip:tiny@{clip_folder}", Heard()
    assert not make_encoder(name, "f32", "mps").must_convert
    embed.embed([IMAGES / "001.jpg"], encoder=name, reporter=heard)
    told = [
        f"network    {each} is converted for this machine, once: up to a minute"
        for each in ("open_clip:tiny", "dlib-face")
    ]
    assert heard.lines == [f"encoder    {name} sees whole, face", *told]
    embed.embed([IMAGES / "013.jpg"], encoder=name, reporter=heard)
    assert heard.lines == [f"encoder    {name} sees whole, face", *told, f"encoder    {name} sees whole, face"]


def test_the_options_of_joined_encoders_ask_for_the_same_again(clip_folder):
    """By default each network has views of its own; with --views all have the same."""
    name = f"clip:tiny@{clip_folder}+bundled"
    usual = make_encoder(name, "f32").specification
    assert usual.sees == ("whole, face (open_clip:tiny) and whole, face, eyes, mouth (efficientnet-lite2)")
    assert usual.options == f"--encoder {name} --no-mirror --precision f32"
    assert make_encoder(name, "f32", mirror=False).specification.fingerprint == usual.fingerprint
    faces = make_encoder(name, "f32", views=("face",), mirror=False).specification
    assert faces.sees == "face"
    assert faces.options == f"--encoder {name} --views face --no-mirror --precision f32"
