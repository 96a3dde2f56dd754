"""ADDA: adversarial discriminative domain adaptation of the target's encoder to frozen source features."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.task import Batch
from xlearn.data.unlabeled import UNLABELED, sources
from xlearn.networks.network import Network
from xlearn.objectives import ExtraUpdate, Objective, PhaseContext
from xlearn.objectives.adaptation.discriminator import Discriminator, discriminate
from xlearn.objectives.adaptation.gradient_reversal import held
from xlearn.objectives.distillation.teaching import need_teacher, taught_features
from xlearn.objectives.parts.domains import need_domains
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs


class Adda(Objective, nn.Module):
    """The objective of a phase with the source's network as teacher (ADDA; Tzeng et al., CVPR 2017, eq. 9). Each step updates

        D:    1/2 (E_s -log D(f_s) + E_t -log(1 - D(f_t)))
        f_t:  E_t -log D(f_t), the inverted labels; and the cross-entropy of the target's labelled examples, if there are any

    f_s `[n, width]`: the features of source examples by the frozen teacher; f_t `[m, width]`: those of the unlabelled target by
    the network, which starts from the source's weights. The source's head is frozen and its labels are not used. The paper
    adds the two means of D without halving them. D has two layers of `hidden` units.

    Raises: `Problem` for hidden below 1, without exactly one teacher, for a teacher of another width or one that cannot read
    the source, and without both domains.
    """

    needs = Needs(unlabeled=True, below_heads=True, teacher=frozenset({"features"}))

    def __init__(self, context: PhaseContext, *, hidden: int = 64) -> None:
        super().__init__()
        need_domains(context, "adda")
        self.teacher = (need_teacher(context, "adda"),)  # in a tuple, so that it is not registered as a module
        width = self.teacher[0].width
        if width != context.network.width:
            raise Problem(
                f"adda: the network has {context.network.width} features, the source's network {width}, but it must start "
                "from the source's weights. Keep carry: true and the source's encoder."
            )
        self.discriminator = Discriminator(width, hidden, context.network, "adda")

    def forward(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        taught = [found for role in sources(batches) if (found := taught_features(self.teacher[0], batches[role])) is not None]
        if not taught:
            raise Problem("adda: the source's network cannot read the source's examples. Let the phase read its modalities.")
        source = torch.cat([features for features, _ in taught]).float()
        seen = torch.cat([each for _, each in taught]).float()
        with torch.no_grad():  # without memo: features without gradient must not be reused
            target = network.features(replace(batches[UNLABELED], memo=None)).float()
        torch.clear_autocast_cache()
        with torch.autocast(source.device.type, enabled=False):
            loss = discriminate(self.discriminator(source), self.discriminator(target), seen)
            return {"adda_discriminator": loss}

    def extra_updates(self) -> list[ExtraUpdate]:
        return [ExtraUpdate(self._fool, lambda name: not name.startswith("head."))]

    def _fool(self, network: Network, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        features = network.features(batches[UNLABELED]).float()
        with torch.autocast(features.device.type, enabled=False):
            losses = {"adda_encoder": functional.softplus(-held(self.discriminator, features)).mean()}
        if (labelled := batches.get("target")) is not None:
            losses["target"] = labelled.space.loss(network(labelled), labelled.labels)
        return losses
