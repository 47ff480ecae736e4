from __future__ import annotations

import hashlib
import itertools
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.arrays import hash_arrays
from deployx_edge.evaluation.data.datasets import Dataset, open_dataset
from deployx_edge.model import AxisRange, PreProcessing
from deployx_edge.processing.preprocessing import load_image
from deployx_edge.workflows.convert.samples import read_arrays, read_samples
from tests.unit.models.bundles import spec

INPUT = spec()  # image: 1x3x8x6
STEP = PreProcessing(input="image", width=6, height=8, mean=(1.0, 2.0, 3.0), std=(2.0, 2.0, 2.0))
SCORES = spec("scores", (1, 3), runtime_name="out0")
ANIMALS = ("cat", "dog", "polar bear")


def image(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def animals(folder: Path, names: tuple[str, ...] = ("Cat", "dog", "polar_bear")) -> Path:
    for index, name in enumerate(names):
        for number in range(4):
            image(folder / name / f"{number}.png", seed=10 * index + number)
    return folder


def opened(path: Path, **options: Any) -> Dataset:
    return open_dataset(path, inputs=[INPUT], preprocessing=[STEP], **options)


def labels_of(dataset: Dataset) -> dict[str, int | None]:
    return {sample.name: sample.target.label for sample in dataset}


def refused(path: Path, words: str, **options: Any) -> None:
    with pytest.raises(UsageError, match=words):
        list(opened(path, **options))


def test_a_folder_a_class(tmp_path: Path) -> None:
    dataset = opened(animals(tmp_path), labels=ANIMALS)
    samples = list(dataset)
    assert (dataset.kind, len(dataset), dataset.classes) == ("folder", 12, ANIMALS)
    assert dataset.notes == dataset.skipped == ()
    assert [sample.name for sample in samples[3:6]] == ["Cat/3.png", "dog/0.png", "dog/1.png"]
    assert [sample.target.label for sample in samples] == [0] * 4 + [1] * 4 + [2] * 4
    array = samples[5].inputs["image"]
    assert array.dtype == np.float32
    assert np.array_equal(array, load_image(tmp_path / "dog" / "1.png", STEP))


def test_folders_are_matched_by_number_where_they_are_numbers(tmp_path: Path) -> None:
    animals(tmp_path, ("2", "0", "10"))
    numbered = opened(tmp_path, labels=[f"class {index}" for index in range(11)])
    assert numbered.labels == (0,) * 4 + (10,) * 4 + (2,) * 4
    nameless = opened(tmp_path)
    assert nameless.labels == numbered.labels
    assert nameless.classes == ()
    assert numbered.notes == nameless.notes == ()
    refused(tmp_path, r"folder '10'.* is not a class: the model's are 0 to 2", labels=ANIMALS)


def test_folders_in_order_are_told(tmp_path: Path) -> None:
    animals(tmp_path, ("n01", "n02", "n03"))
    dataset = opened(tmp_path, labels=ANIMALS)
    assert dataset.labels == (0,) * 4 + (1,) * 4 + (2,) * 4
    assert dataset.classes == ANIMALS
    assert "sorted" in dataset.notes[0]
    assert "'n01' is 'cat'" in dataset.notes[0]
    nameless = opened(tmp_path)
    assert nameless.classes == ("n01", "n02", "n03")
    assert "'n03' is 2" in nameless.notes[0]
    # Only some of the classes: nobody can say which.
    refused(tmp_path, "folder 'n01' .and 2 more. names no class", labels=(*ANIMALS, "fox"))


def test_a_folder_that_names_no_class(tmp_path: Path) -> None:
    animals(tmp_path, ("cat", "dgo"))
    refused(tmp_path, "folder 'dgo' names no class of the model. Near ones are dog", labels=ANIMALS)
    refused(tmp_path, "'cat' names 2 classes of the model: 0, 2", labels=("cat", "dgo", "cat"))


def test_what_lies_beside(tmp_path: Path) -> None:
    animals(tmp_path, ("cat", "dog"))
    image(tmp_path / "cat" / "deeper" / "4.JPG")
    image(tmp_path / "loose.png")
    image(tmp_path / ".thumbnails" / "small.png")
    (tmp_path / "dog" / "notes.txt").write_text("nothing")
    (tmp_path / "dog" / "._0.png").write_text("a Mac was here")
    (tmp_path / "fox").mkdir()
    dataset = opened(tmp_path, labels=("cat", "dog"))
    assert len(dataset) == 9
    assert dataset.names[4] == "cat/deeper/4.JPG"
    assert dataset.notes == (
        "The folder 'fox' holds no images.",
        f"1 images in {tmp_path} itself are in no class and were left aside.",
    )


@pytest.mark.parametrize("content", [b"", b"no image at all", b"half"])
def test_a_corrupt_image_is_skipped_and_counted(tmp_path: Path, content: bytes) -> None:
    animals(tmp_path)
    broken = tmp_path / "dog" / "2.png"
    broken.write_bytes(broken.read_bytes()[:120] if content == b"half" else content)
    dataset = opened(tmp_path, labels=ANIMALS)
    for _ in range(2):  # a second time does not count twice
        assert len(list(dataset)) == 11
        assert [entry.name for entry in dataset.skipped] == ["dog/2.png"]
        assert "cannot be read as an image" in dataset.skipped[0].reason
    assert len(dataset) == 12
    with pytest.raises(UsageError, match=r"dog/2.png cannot be read as an image"):
        list(opened(tmp_path, labels=ANIMALS, strict=True))


def test_only_corrupt_images_are_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "0.png").write_text("nothing")
    refused(tmp_path, "None of the 1 samples can be read; the first: .*0.png", labels=ANIMALS)


def test_images_without_labels(tmp_path: Path) -> None:
    image(tmp_path / "b.png", 1)
    image(tmp_path / "a.png", 2)
    refused(tmp_path, "images in .* have no labels. Put them into one sub-folder a class")
    for task, words in (("detection", "no boxes. .*COCO's .json"), ("segmentation", "no masks. ")):
        refused(tmp_path, words, task=task)
        listed = tmp_path / "list.csv"
        listed.write_text("file\na.png\n")
        refused(listed, f"has no label. .*{words[9:]}", task=task)
        (tmp_path / task).mkdir()
        refused(tmp_path / task, f"holds no images. .*{words[9:]}", task=task)
    dataset = opened(tmp_path, labels=ANIMALS, labelled=False)
    assert (dataset.kind, dataset.labels) == ("images", None)
    assert labels_of(dataset) == {"a.png": None, "b.png": None}
    refused(tmp_path, "need classes, and these samples have none", labelled=False, per_class=1)
    assert len(opened(animals(tmp_path), labelled=False)) == 14


def test_a_folder_of_samples_goes_on_behind_what_cannot_be_read(tmp_path: Path) -> None:
    for index in range(20):
        image(tmp_path / f"{index:02}.png", index)
    for name in ("00.png", "07.png"):
        (tmp_path / name).write_bytes(b"\x89PNG no more")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "09.tif")
    Image.new("RGB", (7, 9)).save(tmp_path / "03.png")
    told: list[str] = []
    found = read_samples([tmp_path], [INPUT], [STEP], lambda event: told.append(event.text))
    assert len(found) == 16  # as many as there are at most, whatever was left out
    assert found[0]["image"] == pytest.approx(load_image(tmp_path / "01.png", STEP))
    assert ["00.png" in told[0], "07.png" in told[1], "09.tif" in told[2]] == [True] * 3
    assert len(told) == 3
    with pytest.raises(UsageError, match=r"07.png cannot be read"):
        read_samples([tmp_path / "07.png"], [INPUT], [STEP])
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.png").write_bytes(b"")
    with pytest.raises(UsageError, match=r"a.png cannot be read"):
        read_samples([tmp_path / "none"], [INPUT], [STEP])


def test_folders_that_cannot_be(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "There is no data set at .*nowhere. Name a folder with one")
    refused(tmp_path, "holds no images")
    refused(tmp_path, "holds no images", labelled=False)
    (tmp_path / "data.json").write_text("{}")
    refused(tmp_path / "data.json", "data.json is not a data set")


def test_images_need_one_input_and_a_recipe(tmp_path: Path) -> None:
    animals(tmp_path)
    both = [INPUT, spec("mask", (1, 8, 6), runtime_name="in1")]
    with pytest.raises(UsageError, match=r"has 2 inputs \(image, mask\)"):
        open_dataset(tmp_path, inputs=both, preprocessing=[STEP])
    with pytest.raises(UsageError, match="Nothing says how an image becomes"):
        open_dataset(tmp_path, inputs=[INPUT])
    with pytest.raises(UsageError, match=r"makes 1x3x8x6 float32 .* is 1x3x8x8 float32"):
        open_dataset(tmp_path, inputs=[spec(shape=(1, 3, 8, 8))], preprocessing=[STEP])
    chw = spec(shape=(3, 8, 6), batch_axis=None)
    sample = next(iter(open_dataset(tmp_path, inputs=[chw], preprocessing=[STEP])))
    assert sample.inputs["image"].shape == (3, 8, 6)
    ranges = (AxisRange(axis=2, minimum=4, opt=16, maximum=32),)
    wide = spec(shape=(1, 3, 16, 6), ranges=ranges)
    assert len(open_dataset(tmp_path, inputs=[wide], preprocessing=[STEP])) == 12


@pytest.mark.parametrize(
    "text",
    [
        "file,label\na.png,dog\nsub/b.png,cat\n",
        "a.png,dog\nsub/b.png,cat\n",
        "\ufeffa.png,dog\r\n\r\nsub/b.png,cat\r\n",
        "a.png,1\nsub/b.png,0\n",
        "a.png;DOG\nsub/b.png;Cat\n",
        "a.png\tdog\nsub/b.png\tcat",
        'label,width,filename\n"dog",7,"a.png"\ncat,7,sub/b.png\n',
    ],
)
def test_a_list(tmp_path: Path, text: str) -> None:
    image(tmp_path / "a.png", 1)
    image(tmp_path / "sub" / "b.png", 2)
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    dataset = opened(tmp_path / "list.csv", labels=ANIMALS)
    assert (dataset.kind, dataset.classes, dataset.notes) == ("csv", ANIMALS, ())
    assert labels_of(dataset) == {"a.png": 1, "sub/b.png": 0}


def test_a_list_that_was_written_on_windows(tmp_path: Path) -> None:
    animals(tmp_path)
    image(tmp_path / "dog\\9.png", 9)  # a name of this system, with a backslash in it
    lines = ("file,label", "Cat\\0.png,cat", "dog\\9.png,dog", "polar_bear\\1.png,polar bear")
    (tmp_path / "l.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    samples = list(opened(tmp_path / "l.csv", labels=ANIMALS))
    assert [sample.target.label for sample in samples] == [0, 1, 2]
    for sample, file in zip(samples, ("Cat/0.png", "dog\\9.png", "polar_bear/1.png"), strict=True):
        assert np.array_equal(sample.inputs["image"], load_image(tmp_path / file, STEP))


def test_a_list_without_labels_or_class_names(tmp_path: Path) -> None:
    image(tmp_path / "a.png", 1)
    image(tmp_path / "b.png", 2)
    path = tmp_path / "list.csv"
    path.write_text("a.png\nb.png\n")
    assert labels_of(opened(path, labelled=False)) == {"a.png": None, "b.png": None}
    refused(path, "Line 1 of .*list.csv has no label. Write one line an image")
    path.write_text("a.png,7\nb.png,3\na.png,7\n")
    dataset = opened(path)
    assert (dataset.labels, dataset.classes) == ((7, 3, 7), ())
    assert dataset.notes == ("1 files are listed more than once: 'a.png'.",)
    path.write_text("a.png,wolf\nb.png,fox\n")
    named = opened(path)
    assert (named.labels, named.classes) == ((1, 0), ("fox", "wolf"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "lists no files"),
        ("file,label\n", "holds a header line and no files"),
        ("a.png,dog\n\n,cat\n", "Line 3 of .* has no file"),
        (
            "a.png,dog\nno.png,cat\nnor.png,cat",
            r"lists 'no.png' \(and 1 more\), and there is no such",
        ),
        ("a.png,dgo", "The label 'dgo' names no class of the model. Near ones are dog"),
        ("file,width,breed\na.png,7,dog\n", "None of the columns .* file, width, breed"),
        ("x" * 5000 + ",dog", "and there is no such file"),
        ("a.png,3", "The label '3' is not a class: the model's are 0 to 2"),
        ("a.png,-1", "The label '-1' names no class"),
        ('a.png,"dog', "cannot be read as CSV"),
        ("a.png,d\xfcgo", "cannot be read as CSV"),
    ],
)
def test_lists_that_cannot_be(tmp_path: Path, text: str, words: str) -> None:
    image(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text(text, encoding="latin-1")
    refused(tmp_path / "list.csv", words, labels=ANIMALS)


def test_subsets_are_reproducible_and_grow(tmp_path: Path) -> None:
    animals(tmp_path)
    names = [opened(tmp_path, labels=ANIMALS, limit=n, seed=3).names for n in range(1, 15)]
    assert [len(chosen) for chosen in names] == [*range(1, 13), 12, 12]
    assert names == [opened(tmp_path, labels=ANIMALS, limit=n, seed=3).names for n in range(1, 15)]
    assert all(set(less) <= set(more) for less, more in itertools.pairwise(names))
    assert all(list(chosen) == sorted(chosen) for chosen in names)
    others = {opened(tmp_path, labels=ANIMALS, limit=4, seed=seed).names for seed in range(9)}
    assert len(others) > 1
    for count in (1, 3, 4, 9):
        labels = opened(tmp_path, labels=ANIMALS, per_class=count, seed=1).labels
        assert labels == tuple(label for label in range(3) for _ in range(min(count, 4)))
    both = opened(tmp_path, labels=ANIMALS, per_class=2, limit=5, seed=1)
    assert len(both) == 5
    assert both.available == 12
    each = opened(tmp_path, labels=ANIMALS, per_class=2, seed=1)
    assert set(both.names) <= set(each.names)


@pytest.mark.parametrize("options", [{"limit": 0}, {"per_class": -1}, {"seed": -1}])
def test_subsets_that_cannot_be(tmp_path: Path, options: dict[str, int]) -> None:
    refused(animals(tmp_path), "0|-1", labels=ANIMALS, **options)


def test_contents_tell_data_sets_apart(tmp_path: Path) -> None:
    one, other = animals(tmp_path / "one"), animals(tmp_path / "other")
    (other / "dog" / "2.png").rename(other / "dog" / "other.png")
    first, second = opened(one, labels=ANIMALS), opened(other, labels=ANIMALS)
    assert first.content_hashes() == second.content_hashes()
    expected = {hashlib.sha256(file.read_bytes()).hexdigest() for file in one.rglob("*.png")}
    assert first.content_hashes() == expected
    assert first.digest != second.digest  # a name differs
    assert first.digest == opened(one, labels=ANIMALS).digest
    some = opened(one, labels=ANIMALS, limit=5)
    assert some.content_hashes() < first.content_hashes()
    assert some.digest != first.digest
    image(one / "dog" / "2.png", seed=99)
    assert opened(one, labels=ANIMALS).digest != first.digest


def images(count: int = 5, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(1).random((count, 3, 8, 6)).astype(dtype)


def archive(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_arrays_with_labels(tmp_path: Path) -> None:
    path = archive(tmp_path / "set.npz", image=images(), labels=np.array([0, 2, 1, 1, 0]))
    dataset = opened(path, labels=ANIMALS)
    samples = list(dataset)
    assert (dataset.kind, len(dataset), dataset.classes) == ("npz", 5, ANIMALS)
    assert labels_of(dataset) == {f"set.npz[{i}]": label for i, label in enumerate((0, 2, 1, 1, 0))}
    assert samples[3].inputs["image"].dtype == np.float32
    assert np.array_equal(samples[3].inputs["image"], images(dtype="float32")[3:4])
    hashes = {hash_arrays(sample.inputs) for sample in samples}
    assert dataset.content_hashes() == hashes
    assert len(hashes) == 5
    assert opened(path, labels=ANIMALS, per_class=1).labels is not None
    named = archive(tmp_path / "named.npz", image=images(2), labels=np.array(["dog", "polar-bear"]))
    assert opened(named, labels=ANIMALS).labels == (1, 2)
    column = archive(tmp_path / "column.npz", image=images(2), labels=np.array([[7], [8]]))
    assert opened(column).labels == (7, 8)


def test_arrays_with_targets(tmp_path: Path) -> None:
    wanted = np.arange(15.0).reshape(5, 3)
    for key in ("scores", "target:scores"):
        path = archive(tmp_path / "set.npz", **{"image": images(), key: wanted, "weather": [1]})
        dataset = opened(path, outputs=[SCORES])
        arrays = [sample.target.arrays["scores"] for sample in dataset]
        assert all(array.shape == (1, 3) for array in arrays)
        assert np.array_equal(np.concatenate(arrays), wanted)
        assert dataset.labels is None
    path = archive(tmp_path / "unknown.npz", **{"image": images(), "target:y": wanted})
    assert [sample.target.arrays["y"].shape for sample in opened(path)] == [(1, 3)] * 5


def test_several_inputs_and_other_batch_axes(tmp_path: Path) -> None:
    tokens, state = np.arange(12).reshape(3, 4), np.random.default_rng(2).random((2, 3, 5))
    table = np.random.default_rng(3).random((3, 2, 2))
    path = archive(tmp_path / "set.npz", tokens=tokens, state=state, table=table, labels=[0, 1, 2])
    inputs = [
        replace(spec("tokens", (1, 4)), dtype="int64"),
        spec("state", (2, 1, 5), batch_axis=1),
        spec("table", (2, 2), batch_axis=None),
    ]
    samples = list(open_dataset(path, inputs=inputs))
    assert [array.shape for array in samples[1].inputs.values()] == [(1, 4), (2, 1, 5), (2, 2)]
    assert np.array_equal(samples[1].inputs["tokens"], tokens[1:2])
    assert np.allclose(samples[1].inputs["state"], state[:, 1:2])
    assert np.allclose(samples[1].inputs["table"], table[1])
    for sample in samples:
        for entry in inputs:
            entry.check(sample.inputs[entry.name])


@pytest.mark.parametrize("content", ["objects", "pickle", "npy of objects"])
def test_nobody_is_advised_to_unpickle(tmp_path: Path, content: str) -> None:
    path = tmp_path / "data.npz"
    things = np.array([{"a": 1}, None], dtype=object)
    if content == "objects":
        np.savez(path, image=things, labels=things)
    else:
        with path.open("wb") as file:
            if content == "pickle":
                pickle.dump({"image": 1}, file)
            else:
                np.save(file, things)
    with pytest.raises(UsageError, match=r"numpy\.savez") as caught:
        opened(path)
    with pytest.raises(UsageError, match=r"numpy\.savez") as other:
        read_arrays([path], [])
    for error in (caught, other):
        assert "pickle" not in str(error.value).casefold()


def test_arrays_without_labels(tmp_path: Path) -> None:
    path = archive(tmp_path / "set.npz", image=images())
    refused(path, "Nothing in .*set.npz says what is right; it holds image. Add 'labels'")
    dataset = opened(path, labelled=False)
    assert (dataset.labels, len(dataset)) == (None, 5)


BROKEN = images()
BROKEN[3, 1, 2, 2] = np.nan
HUGE = images()
HUGE[0] = 1e300
RIGHT = np.zeros(5, int)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"photo": images(), "labels": RIGHT}, "no array for the input 'image', only photo"),
        ({"image": images()[:, :, :7], "labels": RIGHT}, "has the shape Nx3x8x6, .* 1x3x7x6"),
        ({"image": images()[0], "labels": RIGHT}, "has the shape Nx3x8x6"),
        ({"image": np.array(1.0), "labels": RIGHT}, "has the shape Nx3x8x6, .* scalar"),
        ({"image": images()[:0], "labels": RIGHT[:0]}, "holds no samples"),
        ({"image": images(dtype="uint8"), "labels": RIGHT}, r"is float32, .* uint8. Convert it"),
        ({"image": BROKEN, "labels": RIGHT}, "Sample 3 of the array 'image' .* holds NaN"),
        ({"image": HUGE, "labels": RIGHT}, "Sample 0 of the array 'image' .* or infinity"),
        ({"image": images(), "labels": RIGHT[:4]}, "holds 5 samples, and 4 in its labels"),
        ({"image": images(), "labels": RIGHT + 3}, "The label in .* 3 is not a class: .* 0 to 2"),
        ({"image": images(), "labels": RIGHT - 1}, "The label in .* -1 is not a class"),
        (
            {"image": images(), "labels": RIGHT * 0.5},
            "'labels' in .* are 5 float64. Give one whole",
        ),
        ({"image": images(), "labels": np.eye(5, 3, dtype=int)}, "'labels' in .* are 5x3 int64"),
        ({"image": images(), "labels": np.array(["dgo"] * 5)}, "'dgo' names no class"),
        ({"image": images(), "labels": np.array([None] * 5)}, "cannot be read as .npz"),
        ({"image": images(), "scores": np.zeros((4, 3))}, "5 samples, and 4 in its target"),
        ({"image": images(), "scores": np.zeros((5, 4))}, "'scores' in .* is 5x4; the output"),
        ({"image": images(), "scores": np.full((5, 3), np.nan)}, "target 'scores' .* holds NaN"),
        ({"image": images(), "scores": np.array("x")}, "is <U1, not numbers"),
        ({"image": images(), "target:score": np.zeros((5, 3))}, "is for no output; .* are scores"),
        (
            {"image": images(), "target:scores": np.zeros((5, 3)), "scores": np.zeros((5, 3))},
            "holds two targets for the output 'scores'",
        ),
    ],
)
def test_arrays_that_cannot_be(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    refused(archive(tmp_path / "set.npz", **arrays), words, labels=ANIMALS, outputs=[SCORES])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x93NUMPY"])
def test_a_file_that_is_no_npz(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "set.npz").write_bytes(content)
    refused(tmp_path / "set.npz", "set.npz cannot be read as .npz")


def test_inputs_of_different_lengths(tmp_path: Path) -> None:
    path = archive(tmp_path / "set.npz", a=np.zeros((2, 3)), b=np.zeros((3, 3)), labels=[0, 0])
    with pytest.raises(UsageError, match="different numbers of samples: a 2, b 3"):
        open_dataset(path, inputs=[spec("a", (1, 3)), spec("b", (1, 3))])


def test_an_array_that_is_no_npz_and_a_damaged_one(tmp_path: Path) -> None:
    with (tmp_path / "set.npz").open("wb") as file:
        np.save(file, images())
    refused(tmp_path / "set.npz", "cannot be read as .npz: it holds one array without a name")
    path = tmp_path / "packed.npz"
    np.savez_compressed(path, image=images(), labels=RIGHT)
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)
    refused(path, "packed.npz cannot be read as .npz")
