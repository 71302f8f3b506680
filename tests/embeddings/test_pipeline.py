import shutil
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prescreen.embeddings.pipeline import EmbeddingCache, EmbeddingCounts, Quality, embed_bytes, embed_images
from prescreen.encoders import Encoder, EncoderSpecification
from prescreen.encoders.bundled import FACE
from prescreen.errors import EncoderError, PrescreenError
from prescreen.images.files import LEADS_OUT, ImageFile, find_images

IMAGES = Path(__file__).parents[2] / "data" / "sample" / "training" / "images"
SPECIFICATION = EncoderSpecification(name="face", members=(FACE,))
NAMES = ["001.jpg", "013.jpg", "040.jpg", "070.jpg"]


class Unloadable(Encoder):
    """An encoder whose weights are gone: it can serve only what is in the cache."""

    def load(self):
        raise EncoderError("the weights are gone")

    def encode(self, pictures):
        raise EncoderError("the weights are gone")


@pytest.fixture(scope="module", autouse=True)
def cache_folder(session_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRESCREEN_CACHE", str(session_cache))
        yield


@pytest.fixture(scope="module")
def encoder():
    return Encoder(SPECIFICATION)


@pytest.fixture(scope="module")
def embedded(encoder, tmp_path_factory):
    """Four pictures in a folder, the cache that knows them, and their rows."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in NAMES:
        shutil.copy(IMAGES / name, folder)
    path = tmp_path_factory.mktemp("cache") / "embeddings.sqlite"
    with EmbeddingCache(path) as cache:
        rows = list(embed_images(find_images([folder]), encoder, cache))
    return folder, path, rows


@pytest.fixture
def folder(embedded, tmp_path):
    """Return a copy of the pictures."""
    return Path(shutil.copytree(embedded[0], tmp_path / "pictures"))


@pytest.fixture
def known(embedded, tmp_path):
    """Return a copy of the cache in which the pictures are known by their content."""
    return Path(shutil.copy(embedded[1], tmp_path / "known.sqlite"))


@pytest.fixture
def new(tmp_path):
    return tmp_path / "new.sqlite"


def run(files, encoder, path, **options):
    counts = EmbeddingCounts()
    with EmbeddingCache(path) as cache:
        rows = list(embed_images(files, encoder, cache, counts=counts, **options))
    return rows, (counts.decoded, counts.cached, counts.failed)


def assert_same(found, expected):
    assert [row.name for row in found] == [row.name for row in expected]
    assert [row.quality for row in found] == [row.quality for row in expected]
    assert [row.content for row in found] == [row.content for row in expected]
    for row, other in zip(found, expected, strict=True):
        assert np.array_equal(row.vector, other.vector)


def test_a_vector_and_the_quality_of_each_picture(embedded):
    for row in embedded[2]:
        assert row.vector.shape == (SPECIFICATION.dimension,)
        assert row.vector.dtype == np.float16
        assert row.reason == ""
        assert (row.quality.width, row.quality.height, row.quality.frames) == (320, 320, 1)
        assert (row.quality.faces, row.quality.face_detector) == (1, "hog")
        assert 0.15 < row.quality.face_share < 0.5
        assert abs(row.quality.face_roll) < 15
        assert row.quality.sharpness > 3
    assert len({row.vector.tobytes() for row in embedded[2]}) == 4


def test_quality_sees_blur_turn_and_size(encoder, new, tmp_path):
    picture = Image.open(IMAGES / "001.jpg")
    picture.resize((80, 80)).resize((320, 320)).save(tmp_path / "blurred.png")
    picture.rotate(-12, Image.Resampling.BICUBIC).save(tmp_path / "turned.png")
    small = Image.new("RGB", (640, 480))
    small.paste(picture)
    small.save(tmp_path / "small.png")
    shutil.copy(IMAGES / "001.jpg", tmp_path / "plain.jpg")
    rows, _ = run(find_images([tmp_path]), encoder, new)
    quality = {Path(row.name).stem: row.quality for row in rows}
    assert quality["blurred"].sharpness < 0.5 * quality["plain"].sharpness
    assert quality["turned"].face_roll - quality["plain"].face_roll == pytest.approx(12, abs=2)
    assert quality["small"].face_share / quality["plain"].face_share == pytest.approx(320 / 480, rel=0.05)
    assert (quality["small"].width, quality["small"].height) == (640, 480)


def test_a_second_run_decodes_nothing_and_needs_no_weights(embedded):
    folder, path, expected = embedded
    rows, counts = run(find_images([folder]), Unloadable(SPECIFICATION), path)
    assert counts == (0, 4, 0)
    assert_same(rows, expected)


def test_moved_and_renamed_pictures_are_known(embedded, folder, known):
    (folder / "below").mkdir()
    (folder / "001.jpg").rename(folder / "below" / "other name.jpg")
    (folder / "013.jpg").rename(folder / "013.png")
    rows, counts = run(find_images([folder]), Unloadable(SPECIFICATION), known)
    assert counts == (0, 4, 0)
    by_name = {row.name: row.vector for row in rows}
    assert np.array_equal(by_name["below/other name.jpg"], embedded[2][0].vector)
    assert np.array_equal(by_name["013.png"], embedded[2][1].vector)


def test_a_picture_that_changed_in_place_is_embedded_anew(embedded, encoder, folder, known):
    run(find_images([folder]), encoder, known)
    shutil.copy(IMAGES / "100.jpg", folder / "001.jpg")
    rows, counts = run(find_images([folder]), encoder, known)
    assert counts == (1, 3, 0)
    assert not np.array_equal(rows[0].vector, embedded[2][0].vector)
    assert_same(rows[1:], embedded[2][1:])


def test_the_same_content_twice_is_embedded_once(encoder, new, tmp_path):
    for name in ("a.jpg", "b.jpg", "c/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(IMAGES / "001.jpg", tmp_path / name)
    encoded = []

    class Counting(Encoder):
        def encode(self, pictures):
            encoded.append(len(pictures))
            return encoder.encode(pictures)

    rows, counts = run(find_images([tmp_path]), Counting(SPECIFICATION), new)
    assert encoded == [1]
    assert counts == (1, 2, 0)
    assert [row.name for row in rows] == ["a.jpg", "b.jpg", "c/d.jpg"]
    assert all(np.array_equal(row.vector, rows[0].vector) for row in rows)


@pytest.fixture
def bad(tmp_path):
    """Return a folder of files that are no pictures, and for each what must be said of it."""
    folder = tmp_path / "bad"
    folder.mkdir()
    whole = (IMAGES / "001.jpg").read_bytes()
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("this is no picture")
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "vanished.jpg").write_bytes(whole)
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "folder.jpg").mkdir()
    return folder


def test_each_failure_is_a_row_with_its_reason(embedded, encoder, folder, bad, known):
    files = sorted(find_images([folder, bad]), key=lambda file: file.path.name)
    files.append(ImageFile(bad / "folder.jpg", "folder.jpg"))
    (bad / "vanished.jpg").unlink()
    rows, counts = run(files, encoder, known)
    assert [row.name for row in rows] == [file.name for file in files]
    reasons = {Path(row.name).name: row.reason for row in rows if row.vector is None}
    assert set(reasons) == {f"{stem}.jpg" for stem in ("empty", "text", "truncated", "vanished", "loop", "folder")}
    assert "empty" in reasons["empty.jpg"]
    assert "truncated" in reasons["truncated.jpg"]
    assert "vanished" in reasons["vanished.jpg"]
    assert "symbolic" in reasons["loop.jpg"]
    assert all(reason and "\n" not in reason for reason in reasons.values())
    assert counts == (0, 4, 6)
    good = [row for row in rows if row.vector is not None]
    assert [row.reason for row in good] == [""] * 4
    assert [row.quality for row in rows if row.vector is None] == [None] * 6
    for row, expected in zip(good, embedded[2], strict=True):
        assert np.array_equal(row.vector, expected.vector)


def test_bad_pictures_in_a_batch_leave_the_others_alone(embedded, encoder, folder, bad, new):
    for name in ("empty.jpg", "text.jpg", "truncated.jpg"):
        shutil.copy(bad / name, folder / f"020 {name}")
    rows, counts = run(find_images([folder]), encoder, new)
    assert counts == (4, 0, 3)
    assert_same([row for row in rows if row.vector is not None], embedded[2])


def test_failures_are_counted_by_kind(encoder, new, tmp_path):
    good = (IMAGES / "001.jpg").read_bytes()
    files = {"a.jpg": good[:9000], "b.jpg": good[:8000], "c.jpg": b"text", "d.jpg": b"", "e.jpg": good}
    files["copy.jpg"] = files["a.jpg"]
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    counts = EmbeddingCounts()
    with EmbeddingCache(new) as cache:
        list(embed_images(find_images([tmp_path]), encoder, cache, counts=counts))
    assert counts.describe_failures() == "5 failed: 1 empty, 1 unsupported format, 3 truncated"
    other = EmbeddingCounts()
    other.add(counts)
    other.add(counts)
    assert other.describe_failures() == "10 failed: 2 empty, 2 unsupported format, 6 truncated"
    assert EmbeddingCounts().describe_failures() == "0 failed"


def test_every_copy_of_a_bad_picture_counts_as_failed(encoder, bad, new):
    for name in ("more.jpg", "still more.jpg"):
        shutil.copy(bad / "text.jpg", bad / name)
    files = [ImageFile(bad / name, name) for name in ("text.jpg", "more.jpg", "still more.jpg")]
    rows, counts = run(files, encoder, new)
    assert counts == (0, 0, 3)
    assert len({row.reason for row in rows}) == 1
    assert [row.name for row in rows] == ["text.jpg", "more.jpg", "still more.jpg"]


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (17, 9)])
def test_pictures_of_a_few_pixels_do_not_end_the_run(encoder, new, tmp_path, size):
    Image.new("RGB", size, (90, 120, 30)).save(tmp_path / "tiny.png")
    (row,), _ = run(find_images([tmp_path]), encoder, new)
    assert (row.quality is None) == bool(row.reason)
    if row.quality:
        assert (row.quality.width, row.quality.height) == size
        assert (row.quality.faces, row.quality.face_detector) == (0, "fallback")
        assert np.isfinite(row.vector).all()


def test_order_is_kept_over_many_batches(embedded, encoder, folder, bad, known):
    paths = [*sorted(folder.iterdir()), bad / "text.jpg", bad / "empty.jpg"]
    choice = np.random.default_rng(0).integers(0, len(paths), 300)
    files = [ImageFile(paths[i], f"{number}") for number, i in enumerate(choice)]
    advanced = []
    rows, counts = run(files, encoder, known, advance=lambda: advanced.append(1))
    assert [row.name for row in rows] == [str(number) for number in range(300)]
    assert sum(counts) == len(advanced) == 300
    for row, i in zip(rows, choice, strict=True):
        if i < 4:
            assert np.array_equal(row.vector, embedded[2][i].vector)
        else:
            assert row.reason


@pytest.mark.parametrize("are_known", [True, False])
def test_pictures_are_read_as_they_are_asked_for(encoder, folder, known, tmp_path, are_known):
    read = []

    def files():
        for number in range(1000):
            read.append(number)
            path = folder / "001.jpg"
            if not are_known:
                path = tmp_path / f"{number}.jpg"
                path.write_text(f"no picture {number}")
            yield ImageFile(path, str(number))

    with EmbeddingCache(known) as cache:
        rows = embed_images(files(), encoder, cache)
        first = [next(rows).name for _ in range(3)]
        rows.close()
    assert first == ["0", "1", "2"]
    assert len(read) < 100


def test_vectors_of_another_specification_are_never_read(embedded, folder, known):
    other = replace(SPECIFICATION, members=(replace(FACE, pooled=("chip-wide",)),))
    rows, counts = run(find_images([folder])[:2], Encoder(other), known)
    assert counts == (2, 0, 0)
    assert not any(np.array_equal(row.vector, mine.vector) for row, mine in zip(rows, embedded[2][:2], strict=True))
    rows, counts = run(find_images([folder]), Unloadable(SPECIFICATION), known)
    assert counts == (0, 4, 0)
    assert_same(rows, embedded[2])


def flipped(path, part):
    """Flip all bits of a few bytes in the middle of something that stands in a file."""
    data = bytearray(path.read_bytes())
    start = data.find(part)
    assert start > 0
    assert data.find(part, start + 1) < 0
    for i in range(start + len(part) // 2, start + len(part) // 2 + 4):
        data[i] ^= 0xFF
    path.write_bytes(data)


def stored(path, content, column):
    with sqlite3.connect(path) as database:
        (value,) = database.execute(f"SELECT {column} FROM vectors WHERE content = ?", (content,)).fetchone()
    database.close()
    return value if isinstance(value, bytes) else value.encode()


def test_the_cache_does_not_lead_out_of_the_folder(encoder, folder, known, tmp_path):
    """A link to a picture that the cache has seen at its own place is a row with its reason."""
    run(find_images([folder]), encoder, known)
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "link.jpg").symlink_to(next(folder.rglob("*.jpg")))
    ((row,), counts) = run(find_images([tmp_path / "given"]), Unloadable(SPECIFICATION), known)
    assert counts == (0, 0, 1)
    assert row.reason == LEADS_OUT
    ((row,), counts) = run(find_images([tmp_path / "given"], follow_links=True), Unloadable(SPECIFICATION), known)
    assert counts == (0, 1, 0)
    assert row.vector is not None


@pytest.mark.parametrize("column", ["vector", "check_sum", "quality"])
def test_a_damaged_row_is_computed_again(embedded, encoder, folder, known, column):
    value = stored(known, embedded[2][1].content, column)
    flipped(known, value[100:140] if column == "vector" else value)  # a long value may stand in several places
    rows, counts = run(find_images([folder]), encoder, known)
    assert counts == (1, 3, 0)
    assert_same(rows, embedded[2])
    rows, counts = run(find_images([folder]), Unloadable(SPECIFICATION), known)
    assert counts == (0, 4, 0)


def test_measures_of_another_version_are_taken_again(embedded, encoder, folder, known, monkeypatch):
    monkeypatch.setattr("prescreen.images.face_measures.VERSION", 99)
    rows, counts = run(find_images([folder]), encoder, known)
    assert counts == (4, 0, 0)
    assert_same(rows, embedded[2])


def test_a_damaged_note_of_a_file_s_content_does_no_harm(embedded, encoder, folder, known):
    run(find_images([folder]), encoder, known)
    with sqlite3.connect(known) as database:
        database.execute("UPDATE files SET content = substr(content, 1, 63) || 'x'")
    database.close()
    rows, _ = run(find_images([folder]), encoder, known)
    assert_same(rows, embedded[2])


@pytest.mark.parametrize("intact", [0, 50, 4096, 8192])
def test_a_damaged_cache_file_is_an_error_that_names_it(folder, known, intact):
    data = known.read_bytes()
    known.write_bytes(data[:intact] + b"\xaa" * (len(data) - intact))
    with pytest.raises(PrescreenError, match=r"known\.sqlite.*delete the file"):
        run(find_images([folder]), Unloadable(SPECIFICATION), known)


@pytest.mark.parametrize("schema", [1, 99])
def test_a_cache_of_another_version_is_refused(known, schema):
    with sqlite3.connect(known) as database:
        database.execute(f"PRAGMA user_version={schema}")
    database.close()
    with pytest.raises(PrescreenError, match=rf"schema {schema}, expected 2.*delete the file"):
        EmbeddingCache(known)


@pytest.fixture(scope="module")
def quality():
    return Quality(1, 2, 1, 1, "hog", 0.3, 1.5, 9.0)


def test_a_full_disk_is_an_error_and_leaves_the_cache_intact(known, monkeypatch, quality, embedded):
    connect = sqlite3.connect

    def small(*arguments, **options):
        database = connect(*arguments, **options)
        database.execute("PRAGMA max_page_count=8")
        return database

    monkeypatch.setattr(sqlite3, "connect", small)
    with EmbeddingCache(known) as cache, pytest.raises(PrescreenError, match="free some space"):
        cache.put("other", [(str(i), np.zeros(384, np.float16), quality) for i in range(100)])
    monkeypatch.undo()
    with EmbeddingCache(known) as cache:
        assert cache.get("0", "other", 384) is None
        found = cache.get(embedded[2][0].content, SPECIFICATION.fingerprint, SPECIFICATION.dimension)
        assert np.array_equal(found[0], embedded[2][0].vector)


def test_several_writers_share_a_cache(new, quality):
    start = threading.Barrier(6)

    def write(writer):
        start.wait()
        with EmbeddingCache(new) as cache:
            for i in range(20):
                vector = np.full(4, 100 * writer + i, np.float16)
                cache.put(
                    "same", [(f"{writer}/{i}", vector, quality), (f"shared/{i}", np.full(4, i, np.float16), quality)]
                )

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    with EmbeddingCache(new) as cache:
        for writer in range(6):
            for i in range(20):
                vector, found = cache.get(f"{writer}/{i}", "same", 4)
                assert vector.tolist() == [100 * writer + i] * 4
                assert found == quality
        assert cache.get("shared/7", "same", 4)[0].tolist() == [7] * 4


def test_a_writer_waits_for_another_one(new, quality):
    with EmbeddingCache(new) as cache:
        other = sqlite3.connect(new, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")

        def finish():
            time.sleep(0.3)
            other.execute("COMMIT")

        thread = threading.Thread(target=finish)
        thread.start()
        cache.put("same", [("a", np.ones(4, np.float16), quality)])
        thread.join()
        other.close()
        assert cache.get("a", "same", 4) is not None


def test_a_vector_of_another_dimension_is_not_returned(new, quality):
    with EmbeddingCache(new) as cache:
        cache.put("same", [("a", np.ones(4, np.float16), quality)])
        assert cache.get("a", "same", 4) is not None
        assert cache.get("a", "same", 5) is None
        assert cache.get("a", "other", 4) is None
        assert cache.get("b", "same", 4) is None


def test_the_tolerant_run_and_the_strict_one_keep_apart(encoder, bad, new):
    files = [ImageFile(bad / "truncated.jpg", "truncated.jpg")]
    (strict,), _ = run(files, encoder, new)
    (tolerant,), counts = run(files, encoder, new, tolerant=True)
    (again,), _ = run(files, encoder, new)
    assert strict.reason
    assert tolerant.vector is not None
    assert counts == (1, 0, 0)
    assert again.vector is None
    assert again.reason == strict.reason
    (cached,), counts = run(files, Unloadable(SPECIFICATION), new, tolerant=True)
    assert counts == (0, 1, 0)
    assert np.array_equal(cached.vector, tolerant.vector)


def test_what_was_done_before_a_crash_is_not_done_again(encoder, new, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number:02d}.jpg").write_bytes((IMAGES / "001.jpg").read_bytes() + bytes(number))

    class Crashing(Encoder):
        calls = 0

        def encode(self, pictures):
            self.calls += 1
            if self.calls == 2:
                raise KeyboardInterrupt
            return encoder.encode(pictures)

    done = []
    with EmbeddingCache(new) as cache, pytest.raises(KeyboardInterrupt):
        done.extend(embed_images(find_images([folder]), Crashing(SPECIFICATION), cache))
    rows, (decoded, cached, failed) = run(find_images([folder]), encoder, new)
    assert [row.name for row in rows] == [f"{number:02d}.jpg" for number in range(20)]
    assert (decoded, cached, failed) == (4, 16, 0)


def test_missing_weights_end_the_run(folder, new):
    with pytest.raises(EncoderError, match="gone"):
        run(find_images([folder]), Unloadable(SPECIFICATION), new)


def test_pictures_in_memory_get_the_same_rows(embedded, encoder):
    folder, _, expected = embedded
    given = [(name, (folder / name).read_bytes()) for name in NAMES[:2]]
    rows = list(embed_bytes([*given, ("bad", b"no picture"), ("empty", b"")], encoder))
    assert_same(rows[:2], expected[:2])
    assert [row.vector for row in rows[2:]] == [None, None]
    assert all(row.reason for row in rows[2:])


def test_no_pictures_at_all(new):
    assert run([], Unloadable(SPECIFICATION), new) == ([], (0, 0, 0))
