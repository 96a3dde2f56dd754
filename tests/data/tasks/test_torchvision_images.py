"""Torchvision's sets, in the formats they have on disk; without network."""

import codecs
import gzip
import hashlib
import pickle
import struct
from urllib.error import URLError

import numpy
import pytest
import torch
from torchvision import datasets

from xlearn.data.tasks import OPEN, TEST, torchvision_images
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import downloads


def images(*shape, seed=0):
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


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
        content = pickle.dumps({"data": pixels.reshape(20, -1), label_key: [*range(10)] * 2})
        lists.setdefault(split_name, []).append((name, content))
    for listed in lists.values():
        for name, content in listed:
            (folder / name).write_bytes(content)
    (folder / meta).write_bytes(pickle.dumps(meta_content))
    for split_name, attribute in (("train", "train_list"), ("test", "test_list")):
        sums = [[name, hashlib.md5(content).hexdigest()] for name, content in lists[split_name]]
        monkeypatch.setattr(kind, attribute, sums)
    checksum = hashlib.md5((folder / meta).read_bytes()).hexdigest()
    monkeypatch.setattr(kind, "meta", {**kind.meta, "filename": meta, "md5": checksum})
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
