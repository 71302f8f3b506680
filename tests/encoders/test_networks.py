import dlib
import numpy as np
import pytest
import torch

from prescreen.encoders.bundled import EFFICIENTNET, FACE
from prescreen.encoders.networks import EfficientNetFeatures, FaceNetwork, layout
from prescreen.errors import EncoderError
from prescreen.images.model_files import DLIB_FACE_NETWORK, EFFICIENTNET_LITE2
from prescreen.images.views import View, cut

LAYERS = np.cumsum([48, 48, 88, 88, 120, 120, 208, 208, 352, 352])
"""Where the features of the next layer, or their deviations over space, begin."""


@pytest.fixture(scope="module")
def chips(portraits):
    return np.stack([cut(picture, face, View("chip", 150)) for picture, face in portraits])


def run(network, pixels):
    with torch.inference_mode():
        return network(torch.from_numpy(np.ascontiguousarray(pixels))).numpy()


def test_face_network_computes_what_dlib_computes(chips):
    weights = DLIB_FACE_NETWORK.locate()
    original = dlib.face_recognition_model_v1(str(weights))
    expected = np.array([original.compute_face_descriptor(chip) for chip in chips])
    found = run(FaceNetwork(weights), chips)[:, : FACE.width]
    assert np.abs(found - expected).max() < 1e-5
    assert np.linalg.norm(expected[0] - expected[1]) > 0.3  # so that the comparison is not one of constants


@pytest.mark.parametrize("kept", [0, 1, 100, 10_000, 22_000_000, "a layer's name", "a layer's first number"])
def test_a_truncated_face_network_is_refused_in_words(tmp_path, kept):
    data = DLIB_FACE_NETWORK.locate().read_bytes()
    name = data.find(b"\x01\x05con_4") + 7
    kept = {"a layer's name": name, "a layer's first number": name + 2}.get(kept, kept)
    damaged = tmp_path / "damaged.dat"
    damaged.write_bytes(data[:kept])
    with pytest.raises(EncoderError, match=r"damaged\.dat"):
        FaceNetwork(damaged)


def test_another_dlib_model_is_not_taken_for_the_face_network(tmp_path):
    other = tmp_path / "other.dat"
    other.write_bytes(DLIB_FACE_NETWORK.locate().read_bytes().replace(b"\x01\x05con_4", b"\x01\x05con_5"))
    with pytest.raises(EncoderError, match="not dlib's face network"):
        FaceNetwork(other)


@pytest.fixture(scope="module")
def efficientnet():
    return EfficientNetFeatures(EFFICIENTNET_LITE2.locate())


def test_efficientnet_features_see_the_picture(efficientnet, portraits):
    pixels = np.stack([cut(picture, face, View("whole", 260)) for picture, face in portraits[:2]])
    first, again = run(efficientnet, pixels), run(efficientnet, pixels)
    assert first.shape == (2, EFFICIENTNET.output_width)
    assert np.isfinite(first).all()
    assert np.array_equal(first, again)
    layers = np.split(first[:, : EFFICIENTNET.width], LAYERS, axis=1)
    assert all(np.corrcoef(*layer)[0, 1] < 0.9999 for layer in layers)
    brighter = run(efficientnet, pixels // 2 + 100)
    assert np.abs(brighter - first).max() > 0.1


def test_a_mean_and_a_deviation_from_each_layer(efficientnet):
    pixels = np.full((2, 260, 260, 3), 90, np.uint8)
    pixels[1, ::2] = 200
    plain, striped = run(efficientnet, pixels)[:, : EFFICIENTNET.width]
    for number in range(0, 10, 2):
        mean, deviation = (np.split(plain, LAYERS)[number + part] for part in (0, 1))
        assert (mean < 0).any()
        assert (deviation >= 0).all()
    assert np.split(striped, LAYERS)[1].mean() > np.split(plain, LAYERS)[1].mean()


def test_a_layout_is_means_over_the_left_and_the_middle_of_the_view():
    x = torch.zeros(1, 2, 9, 9)
    x[0, 0, :3, :3], x[0, 0, 6:, 3:6], x[0, 0, :, 6:] = 1, 2, 99
    x[0, 1] = 5
    assert layout(x, 3)[0].tolist() == [1, 0, 0, 0, 0, 2, *[5] * 6]
    assert layout(x, 3, folded=True)[0].tolist() == [50, 0, 49.5, 0, 49.5, 2, *[5] * 6]
    assert layout(x, 9)[0].reshape(2, 9, 5)[0].tolist() == [[*row[:5]] for row in x[0, 0].tolist()]


def test_a_folded_layout_of_a_picture_is_that_of_its_mirror_image():
    x = torch.rand(2, 3, 17, 17)
    torch.testing.assert_close(layout(x, 3, folded=True), layout(x.flip(3), 3, folded=True))
    torch.testing.assert_close(layout(x, 3, folded=True), (layout(x, 3) + layout(x.flip(3), 3)) / 2)


@pytest.mark.parametrize("member", [EFFICIENTNET, FACE], ids=lambda member: member.network)
def test_layouts_tell_where_a_picture_changes(member, efficientnet, portraits):
    network = efficientnet if member is EFFICIENTNET else FaceNetwork(DLIB_FACE_NETWORK.locate())
    picture = cut(*portraits[0], View("whole", member.side))
    changed = np.stack([picture, picture, picture])
    strip = member.side // 5
    changed[1, :strip], changed[2, -strip:] = 255 - changed[1, :strip], 255 - changed[2, -strip:]
    same, above, below = run(network, changed)
    assert len(same) == member.output_width
    start = member.width
    for block in member.layouts:
        columns = slice(start, start := start + block.width)
        cells = (6, 3) if "fine" in block.name else (3, 2)
        rows_above, rows_below = (
            np.abs(found[columns] - same[columns]).reshape(-1, *cells).mean((0, 2)) for found in (above, below)
        )
        assert rows_above[0] / rows_above[-1] > 1.5 * rows_below[0] / rows_below[-1], block.name
