"""Device, threads, precision and the memory allocator: set once per process."""

import ctypes
import os
import platform
import resource
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from xlearn.runtime.errors import Problem, nearest

# glibc: never return memory to the kernel, never map single blocks. Training steps then reuse the same pages without page
# faults: 0.89 of the time of a small CNN's step.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


@dataclass(frozen=True)
class Machine:
    """The device, precision and threads of a run. `signature` lists what may change the last bits of its numbers."""

    device: torch.device
    precision: str
    threads: int

    def signature(self) -> dict[str, Any]:
        kind = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return {
            "device": kind,
            "precision": self.precision,
            "threads": self.threads,
            "processor": torch.backends.cpu.get_cpu_capability(),
            "torch": torch.__version__,
            "torchvision": metadata.version("torchvision"),
        }

    def reset_peak(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_memory(self) -> int:
        """Bytes: on the GPU since the last reset, on the CPU the highest of the process so far."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def place(network: torch.nn.Module, machine: Machine) -> None:
    """Move a network to the device, convolutions laid out channels-last (0.65 to 0.77 of the time of a small CNN)."""
    network.to(machine.device)
    network.to(memory_format=torch.channels_last)


def machine(device: str, precision: str, threads: int | None, multirun: bool) -> Machine:
    """Configure the process. `threads` null: all cores for a single run, one for the jobs of a sweep."""
    if precision not in ("fp32", "bf16", "fp16"):
        raise Problem(f"precision={precision}: {nearest(precision, ['fp32', 'bf16', 'fp16'])}")
    if threads is not None and threads < 1:
        raise Problem(f"threads={threads}: give 1 or more, or null.")
    chosen = _device(device)
    if precision == "fp16" and chosen.type == "cpu":
        raise Problem("precision=fp16 needs a GPU. On the CPU use fp32 (faster for small networks) or bf16.")
    count = threads or (
        1 if multirun else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    _limit_blas(count)
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(M_TRIM_THRESHOLD, -1)
    if chosen.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)
    return Machine(chosen, precision, count)


@lru_cache(maxsize=1)
def _limit_blas(threads: int) -> None:
    """The threads of numpy's and scipy's linear algebra, also of libraries that are loaded later."""
    os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
    threadpool_limits(threads, "blas")


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise Problem(f"device={name}: {nearest(name, ['auto', 'cpu', 'cuda', 'cuda:0', 'mps'])}") from error
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available, "cpu": lambda: True}
    if device.type not in there or not there[device.type]():
        raise Problem(f"device={name}: this machine has no such device. Use device=auto or device=cpu.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise Problem(f"device={name}: this machine has {torch.cuda.device_count()} GPU(s), counted from 0.")
    return device
