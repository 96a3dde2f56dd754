"""Image data sets of torchvision, from its own files."""

import gzip
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from xlearn.data.tasks import OPEN, TEST, Raw
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import data_folders, downloads, write_atomically

# Debian's package dataset-fashion-mnist; torchvision expects FashionMNIST/raw below a folder.
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def fashion_mnist() -> Raw:
    """60,000 + 10,000 articles of clothing, 1 x 28 x 28, 10 classes (Xiao et al., 2017); official test split."""
    from torchvision import datasets

    return _both_splits(datasets.FashionMNIST, "fashion", "FashionMNIST/raw/*-ubyte.gz (4 files, IDX)")


def cifar10() -> Raw:
    """50,000 + 10,000 photographs, 3 x 32 x 32, 10 classes (Krizhevsky, 2009); official test split."""
    from torchvision import datasets

    return _both_splits(datasets.CIFAR10, "cifar10", "cifar-10-python.tar.gz, unpacked to cifar-10-batches-py/")


def cifar100() -> Raw:
    """50,000 + 10,000 photographs, 3 x 32 x 32, 100 classes (Krizhevsky, 2009); official test split."""
    from torchvision import datasets

    return _both_splits(datasets.CIFAR100, "cifar100", "cifar-100-python.tar.gz, unpacked to cifar-100-python/")


def _both_splits(kind: Any, space: str, files: str) -> Raw:
    train, test = _open(kind, True, files), _open(kind, False, files)
    images = torch.cat([_channels_first(train.data), _channels_first(test.data)])
    labels = torch.cat([torch.as_tensor(train.targets), torch.as_tensor(test.targets)]).long()
    official = torch.tensor([OPEN] * len(train.targets) + [TEST] * len(test.targets), dtype=torch.int8)
    return Raw({"image": images}, labels, tuple(train.classes), space, official)


def _open(kind: Any, train: bool, files: str) -> Any:
    for folder in data_folders():
        try:
            return kind(root=folder, train=train, download=False)
        except Exception as error:  # the readers raise many kinds
            if isinstance(error, RuntimeError) and str(error).startswith("Dataset not found"):
                continue  # missing or incomplete: try the next folder, and finally a download
            raise Problem(
                f"{kind.__name__} below {folder} is damaged ({_reason(error)}). Delete it, or fetch {files} again."
            ) from error
    try:
        downloads().mkdir(parents=True, exist_ok=True)
        if kind.__name__ == "FashionMNIST":
            _unpack_fashion_mnist()
        return kind(root=downloads(), train=train, download=True)
    except Exception as error:  # the network's and the readers' many kinds
        raise Problem(
            f"{kind.__name__} could not be downloaded ({_reason(error)}). Fetch {files} on another machine and put it into "
            f"{downloads()}, or into the folder $XLEARN_DATA names."
        ) from error


def _unpack_fashion_mnist() -> None:
    """Unpack the gzip files (fetched by hand, or Debian's) into the downloads, where torchvision looks for them."""
    folders = [folder / "FashionMNIST" / "raw" for folder in data_folders() if folder != downloads()]
    for folder in (*folders, DEBIAN_FASHION_MNIST):
        for packed in folder.glob("*-ubyte.gz"):
            content = gzip.decompress(packed.read_bytes())
            write_atomically(
                downloads() / "FashionMNIST" / "raw" / packed.stem, lambda file, content=content: file.write_bytes(content)
            )


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _channels_first(data: Tensor | numpy.ndarray) -> Tensor:
    images = torch.as_tensor(data)
    return images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
