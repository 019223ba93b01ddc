"""What has to be known of ESPnet2 beyond its interface, in one place.

- Its own tasks import a phonemiser that downloads word lists: :func:`without_phonemizer`.
- It evaluates mappings typed as options as Python: importing this module has them read as data, in all tasks.
- Its dataset reads the types of files that it knows: importing this module adds ours.
- It deals out utterances to the processes of one training before it forms batches: :class:`SharedBatches`.
- It calls ``model(...)`` itself, so what is to hold there only is put around ``forward``: :func:`autocast_forward`.
- It clips one norm over all parameters; which these are it asks the model: :func:`clipped_apart`.
- It wants its own abstract classes: importing this module makes :class:`~m4ser.models.encoders.base.Encoder` a virtual
  subclass of ESPnet's; :class:`TrainedSERModel` is the model as its trainer takes it.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from espnet2.asr.encoder.abs_encoder import AbsEncoder
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.train.class_choices import ClassChoices
from espnet2.train.dataset import DATA_TYPES
from espnet2.utils.nested_dict_action import NestedDictAction
from torch import Tensor, nn
from torch.utils.data import DataLoader

from m4ser.data.features import Features
from m4ser.models.build import Choices
from m4ser.models.encoders.base import Encoder
from m4ser.models.model import Outcome, SERModel
from m4ser.models.objectives.base import Targets
from m4ser.models.representations import Representations
from m4ser.training.lists import FEATURES
from m4ser.training.nested import read_nested
from m4ser.training.precision import autocast
from m4ser.utils.errors import UserError
from m4ser.utils.modules import stand_in

DATA_TYPES[FEATURES] = {
    "func": Features,
    "kwargs": [],
    "help": "feats.scp of stage 1, read through m4ser.data.features",
}
AbsEncoder.register(Encoder)
NestedDictAction.__call__ = read_nested


class TrainedSERModel(SERModel, AbsESPnetModel):
    """A model whose losses and statistics can be gathered from several processes."""

    def outcome(self, reps: Representations, answers: list[Tensor], targets: Targets) -> Outcome:
        """As :meth:`SERModel.outcome`; every number is a tensor (1,)."""
        output = super().outcome(reps, answers, targets)
        return force_gatherable(output, output["loss"].device)

    def collect_feats(self, **batch: Any) -> dict[str, Tensor]:
        """Nothing to collect: lengths are known from stage 1, features are normalised in the encoder."""
        return {}


class SharedBatches(AbsIterFactory):
    """The batches of a training in one process, of each of which one of several processes takes its share.

    ESPnet first gives every process utterances of its own and then, with ``shuffle_within_batch``, forms batches anew
    among these: together they would not be those of one process, and not all of them where a batch does not divide.

    Args:
        whole: makes the batches of one process.
        rank: number of this process.
        processes: how many there are.
    """

    def __init__(self, whole: AbsIterFactory, rank: int, processes: int):
        self.whole, self.rank, self.processes = whole, rank, processes

    def build_iter(self, epoch: int, shuffle: bool | None = None) -> DataLoader[Any]:
        """Batches of an epoch.

        Raises:
            UserError: there are more processes than utterances in a batch.
        """
        loader = self.whole.build_iter(epoch, shuffle)
        batches = list(loader.batch_sampler)
        if (largest := max(map(len, batches))) < self.processes:
            raise UserError(f"a batch of {largest} cannot be shared by {self.processes} processes: raise batch_size")
        return DataLoader(
            dataset=loader.dataset,
            batch_sampler=[share(batch, self.rank, self.processes) for batch in batches],
            num_workers=loader.num_workers,
            pin_memory=loader.pin_memory,
            collate_fn=loader.collate_fn,
            worker_init_fn=loader.worker_init_fn,
        )


def share(batch: Sequence[str], rank: int, processes: int) -> list[str]:
    """What one process takes of a batch; of a last batch that does not go round, some take what another one has.

    >>> [share("abcde", rank, 2) for rank in (0, 1)], [share("ab", rank, 3) for rank in (0, 1, 2)]
    ([['a', 'c', 'e'], ['b', 'd']], [['a'], ['b'], ['a']])
    """
    return list(batch[rank::processes]) or [batch[rank % len(batch)]]


def class_choices(choices: Choices[Any]) -> ClassChoices:
    """Our table of classes as ESPnet's task takes it: it makes ``--<name>`` and ``--<name>_conf`` of it."""
    return ClassChoices(choices.name, choices.classes, default=choices.default)


@contextlib.contextmanager
def autocast_forward(model: nn.Module, device: str) -> Iterator[None]:
    """While this lasts, ``model(...)`` runs under :func:`autocast`; the backward pass does not."""
    forward: Callable[..., Any] = model.forward

    def lowered(*args: Any, **kwargs: Any) -> Any:
        with autocast(device):
            return forward(*args, **kwargs)

    model.forward = lowered
    try:
        yield
    finally:
        del model.forward


@contextlib.contextmanager
def clipped_apart(model: nn.Module, prefixes: Sequence[str], clip: float, norm_type: float) -> Iterator[None]:
    """While this lasts, gradients of parameters whose names begin with a prefix are clipped by a norm of their own.

    ESPnet asks for ``model.parameters()`` when it is about to clip them, and for nothing else.
    """
    names = {name.removeprefix("module."): parameter for name, parameter in model.named_parameters()}
    apart = {prefix: [p for name, p in names.items() if name.startswith(prefix)] for prefix in prefixes}
    others = [p for name, p in names.items() if not name.startswith(tuple(prefixes))]

    def parameters(recurse: bool = True) -> Iterator[nn.Parameter]:
        for some in apart.values():
            nn.utils.clip_grad_norm_(some, clip, norm_type)
        return iter(others)

    if not any(apart.values()):
        yield
        return
    model.parameters = parameters  # type: ignore[method-assign]  # taken back below
    try:
        yield
    finally:
        del model.parameters


@contextlib.contextmanager
def without_phonemizer() -> Iterator[None]:
    """Import ESPnet's own tasks in here: they import g2p_en, which at once downloads what no task of ours needs.

    The import then takes four seconds instead of ten, and nothing is printed or fetched. Whoever imports g2p_en
    afterwards gets the real one.
    """
    if "g2p_en" not in sys.modules:
        import transformers  # noqa: F401  (it asks whether there is a g2p_en, and must not find ours)

    with stand_in("g2p_en"):
        yield
