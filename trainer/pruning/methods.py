"""The table of methods: each is a point on the four axes, nothing more.

To add one, write the piece that is new in its axis' module and a row here.
"""

import difflib
from dataclasses import dataclass
from typing import Literal

from dspctl.errors import UnknownMethod
from dspctl.trainer.pruning.regularizers import (
    GroupLasso,
    L1Regularizer,
    OmegaRegularizer,
    Regularizer,
)
from dspctl.trainer.pruning.saliency import Saliency, chance, incoming_norm, magnitude, omega
from dspctl.trainer.pruning.schedule import Curve, cubic, static
from dspctl.trainer.pruning.widths import Widths, equal_share, no_layer

Granularity = Literal["unit", "weight"]


@dataclass(frozen=True)
class Method:
    """A named choice on each axis.

    Attributes:
        summary: one line for help texts and tables.
        regularizer: what is added to the loss, or None.
        saliency: what ranks units or weights, or None for a method that removes nothing.
        curve: how sparsity grows over the pruning phase.
        granularity: what leaves as one; sparsity counts these.
        teacher: whether it learns from a trained policy.
        delivers: which of a run's policies, where several are tried.
        procedure: one run of the loop, or rounds of them.
        widths: the hidden layers that the actor starts with, or None for as many as the critic.
        floor_share: share of an equal one that every layer keeps (``docs/decisions/0007``).
    """

    summary: str
    regularizer: Regularizer | None = None
    saliency: Saliency | None = None
    curve: Curve = cubic
    granularity: Granularity = "unit"
    teacher: bool = False
    delivers: Literal["best", "sparsest"] = "best"
    procedure: Literal["loop", "pops"] = "loop"
    widths: Widths | None = None
    floor_share: float = 0.5

    @property
    def prunes(self) -> bool:
        """Whether anything is removed in training."""
        return self.saliency is not None


METHODS: dict[str, Method] = {
    "ppo": Method("unpruned PPO"),
    "dsp": Method(
        "dynamic structured pruning: importance penalty, cubic schedule, whole units",
        regularizer=OmegaRegularizer(),
        saliency=omega,
    ),
    "dsp-kd": Method(
        "dynamic structured pruning with the unpruned policy as a teacher",
        regularizer=OmegaRegularizer(),
        saliency=omega,
        teacher=True,
        floor_share=0.8,
    ),
    "kd": Method(
        "distillation of a teacher into a network of given widths, nothing pruned", teacher=True
    ),
    "ssl": Method(
        "structured sparsity learning: group lasso on incoming weights, pruned once",
        regularizer=GroupLasso(),
        saliency=incoming_norm,
        curve=static,
    ),
    "sgs": Method(
        "structured group sparsity: group lasso on the first layer, pruned once",
        regularizer=GroupLasso(first_only=True),
        saliency=incoming_norm,
        curve=static,
    ),
    "l1": Method(
        "lasso: single weights leave as their magnitude falls under a growing threshold",
        regularizer=L1Regularizer(),
        saliency=magnitude,
        granularity="weight",
    ),
    "dropout": Method("random units leave, all at once", saliency=chance, curve=static),
    "pops": Method(
        "rounds of pruning weights, shrinking to a dense network and distilling into it",
        saliency=magnitude,
        granularity="weight",
        teacher=True,
        procedure="pops",
    ),
    "dense-small": Method(
        "unpruned PPO whose actor starts with the units that sparsity leaves",
        widths=equal_share,
    ),
    "kd-small": Method(
        "the unpruned policy distilled into an actor with the units that sparsity leaves",
        teacher=True,
        widths=equal_share,
    ),
    "linear": Method("unpruned PPO whose actor has no hidden layer", widths=no_layer),
}

# What stages of PoPS train with, beside kd; nobody names it.
_STAGES: dict[str, Method] = {
    "pops-prune": Method(
        "single weights leave while the teacher alone teaches",
        saliency=magnitude,
        granularity="weight",
        teacher=True,
        delivers="sparsest",
    ),
}


def method_named(name: str) -> Method:
    """Look a method up.

    Raises:
        UnknownMethod: the message names the nearest and all known ones.
    """
    if name in _STAGES:
        return _STAGES[name]
    if name not in METHODS:
        close = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UnknownMethod(f"there is no method {name!r}: {hint}known: {', '.join(METHODS)}")
    return METHODS[name]
