"""What jobs import, imported at once by the process that workers are forked from. It computes nothing and starts no thread."""

import torch._dynamo

import xlearn.encoders.cnn
import xlearn.encoders.layout
import xlearn.pipeline
import xlearn.plan.build
from xlearn.commands import worker

__all__ = ["torch", "worker", "xlearn"]
