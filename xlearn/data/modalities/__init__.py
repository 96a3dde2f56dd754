"""Modalities: one class each, which says what its inputs are, how they are made of raw data, and what may be done to them.

A modality is a frozen dataclass derived from `Modality`. Its instance is the *spec* of the form that encoders read: sizes, a
vocabulary, whatever identifies the form. xlearn has `ImageSpec`, `TextSpec`, `AudioSpec`, `TabularSpec` and `VectorSpec`.

`fit(pools, options)` reads the raw data of all tasks of a run and returns a `Format`. Statistics (a vocabulary, means) are
learned from the rows in `Pool.train` only: training rows, never validation or test rows. An encoder that needs another form (a
published tokeniser, waves instead of frames, features of a frozen network) has a static method
`format(pools, options, **arguments)`, which replaces `fit` and gets the encoder's arguments.

What may be done to inputs is an operation of the class: `mix`, `hide`, `noise`, `pieces`, `turns`. None means that it makes no
sense (item 25 is not half of item 50): whatever needs it refuses the modality by name, before anything trains. A spec that is
no `Modality` has none of them: its encoders read it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol

from torch import Generator, Tensor

from xlearn.data.columns import Column, Inputs
from xlearn.data.modalities.pieces import PieceOptions, Pieces
from xlearn.data.tasks import Raw
from xlearn.runtime.errors import Problem


@dataclass(frozen=True)
class Pool:
    """One task's raw data: its name for messages, its fingerprint, and its training rows (int64, labelled or not).

    Rows that lack the modality are left out of `train`.
    """

    name: str
    raw: Raw
    fingerprint: str
    train: Tensor


class Format(Protocol):
    """A form of a modality that all tasks of a run share.

    `spec` describes the encoders' inputs and identifies the form: the same raw data and the same spec give the same column.
    """

    @property
    def spec(self) -> "Modality": ...

    def __call__(self, pool: Pool) -> tuple[Column, dict[str, Any]]:
        """The column `[n, ...]` of all rows, and notes for the result (what was truncated, resampled, ...).

        `notes["unread"]`: rows that this form cannot read, for raw data with `skip_bad`; without it they raise `Problem`.
        """
        ...


Pools = Sequence[Pool]
# How numbers are mixed: `mixture(a, b)`.
Mixture = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Modality:
    """The protocol. By default there is no operation. A class overrides one with a method or, where it depends on its form, by
    a property that may be None.
    """

    # Augmentations of xlearn.data.augment, which a phase's `views` name, change its inputs.
    augmented: ClassVar[bool] = False
    # Weights may read the form in another size: their shapes alone say whether a checkpoint fits.
    any_size: ClassVar[bool] = False
    # Settings that loaders get for arguments of the same names that are null, so that data are read in this form at once.
    reads: ClassVar[tuple[str, ...]] = ()
    # The unit of a level of `noise`, in words.
    noise_unit: ClassVar[str] = ""

    @staticmethod
    def fit(pools: Sequence[Pool], options: Mapping[str, Any]) -> Format:
        """The form that all tasks of a run share, for encoders without a `format`. By default there is none."""
        raise Problem(f"{pools[0].name}: no form was given for its inputs. Choose an encoder with a `format`.")

    @property
    def learned(self) -> bool:
        """Whether the form (a vocabulary, means) is learned from the tasks of a run, whose test rows it must not see then."""
        return True

    @property
    def scaling(self) -> bool:
        """Whether all that is learned is a scaling of numbers (means, deviations). A network that reads one task only, such as
        the baseline, then reads it in the form learned from that task alone: this costs no second look at the raw data, and the
        network's shape is the same.
        """
        return False

    @property
    def mix(self) -> Callable[[Tensor, Tensor, Mixture], Tensor] | None:
        """`mix(one, other, mixture)`: two inputs as one; `mixture(a, b)` is a convex mixture of numbers. Without it
        `keep=mixval` and domain mixup mix features.
        """
        return None

    @property
    def hide(self) -> Callable[[Inputs, float, Generator], Inputs] | None:
        """`hide(given, share, generator)`: replaces a random share of each input's parts by zeros, missing values or unknown
        tokens. For views, unless an augmentation makes them.
        """
        return None

    @property
    def noise(self) -> Callable[[Tensor, float, Generator], Tensor] | None:
        """`noise(values, level, generator)`: all values of a column with noise, for `robustness=noise`; 0 is none."""
        return None

    @property
    def pieces(self) -> Callable[[Sequence[Column], PieceOptions], Pieces] | None:
        """`pieces(columns, options)`: how inputs are cut into pieces that are masked and reconstructed (mae, denoising,
        autoencoder). `columns`: those of the phase's tasks.
        """
        return None

    @property
    def turns(self) -> Callable[[str, str], Callable[[Tensor], Tensor]] | None:
        """`turns(method, task)`: a function that returns inputs in all four quarter turns. Both names are for messages."""
        return None

    def lacks_unknown(self, token: int) -> bool:
        """Whether inputs are tokens of which this number is not the unknown one, so that nothing may insert it."""
        return False


def modality(spec: object) -> Modality:
    """What may be done to inputs of this spec: nothing, if its class is no `Modality`."""
    return spec if isinstance(spec, Modality) else Modality()


def reads_of(encoder: partial[Any], modality: type | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """(what the encoder wants of loaders, by its static method `reads`, such as `{"size": 96}`; the names of the settings of
    its modality that loaders may follow). Both empty where nothing is declared.
    """
    declared = getattr(encoder.func, "reads", None)
    wanted = {} if declared is None else declared(**encoder.keywords)
    return wanted, modality.reads if modality is not None and issubclass(modality, Modality) else ()


def fit_of(encoder: partial[Any], modality: type | None, name: str) -> tuple[Callable[..., Format], dict[str, Any]]:
    """(the function that learns the form of a modality, its arguments): the encoder's own `format` with the encoder's
    arguments, or the `fit` of the modality. Raises `Problem` without either.
    """
    own = getattr(encoder.func, "format", None)
    if own is not None:
        return own, encoder.keywords
    if modality is not None and issubclass(modality, Modality) and modality.fit is not Modality.fit:
        return modality.fit, {}
    raise Problem(
        f"encoder.{name}: xlearn has no form for this modality. Give {encoder.func.__name__} a `format`, or the class of its "
        "`spec` a `fit`."
    )
