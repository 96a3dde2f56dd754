"""Looks as candidates: one training gives the choices of all rules, and only one of these reads labels of the target."""

from dataclasses import replace
from functools import partial

import adapting
import pytest
import torch
import toys
from solving import phase

from xlearn.candidates import SAMPLE, Candidates, splits
from xlearn.encoders.text_cnn import TextCnn
from xlearn.errors import Interrupted, Problem
from xlearn.evaluate import logits
from xlearn.feasible import check
from xlearn.modalities.text import text_format
from xlearn.network import load, tensors
from xlearn.objectives.entropy_min import EntropyMin
from xlearn.phase import reading
from xlearn.prepare import TaskSource, prepare
from xlearn.selection import RULES
from xlearn.task_options import TaskOptions
