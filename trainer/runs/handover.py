"""What one process's loop leaves for the next, and how that one takes it over."""

from typing import TYPE_CHECKING

from dspctl.trainer.distillation.phases import imitates
from dspctl.trainer.runs.carry import Carry, Running

if TYPE_CHECKING:
    from dspctl.trainer.loop import Loop


def carry_of(loop: "Loop") -> Carry:
    """What *loop* has under way between two iterations; arrays are its own, not copies."""
    environments = loop.vector.state()
    running = None
    if environments is not None:
        returns, lengths = loop.episodes.running()
        running = Running(
            environments=environments,
            observations=loop.collector.next_observations,
            just_done=loop.collector.just_done,
            discounted=loop.state.scaler.returns,
            returns=returns,
            lengths=lengths,
        )
    returns, lengths = loop.episodes.finished()
    # Once rewards teach too, nothing is drawn from the memory any more.
    teaches = loop.teacher is not None and imitates(loop.state.iteration, loop.config)
    return Carry(
        running=running,
        returns=returns,
        lengths=lengths,
        recorded=tuple(loop.recorded),
        normalizer=loop.normalizer,
        value_loss=loop.value_loss,
        memory=loop.memory.remembered() if teaches else None,
        collapsed=loop.watch.collapsed,
    )


def take_over(loop: "Loop", carry: Carry) -> bool:
    """Let a fresh *loop* go on with *carry*; returns whether its environments go on too."""
    loop.episodes.remember(carry.returns, carry.lengths)
    loop.recorded.extend(carry.recorded)
    loop.normalizer = carry.normalizer
    loop.value_loss = carry.value_loss
    loop.watch.collapsed = carry.collapsed
    if carry.memory is not None:
        loop.memory.restore(carry.memory)
    running = carry.running
    if running is None or not loop.vector.restore(running.environments):
        return False
    loop.collector.restore(running.observations, running.just_done)
    loop.episodes.go_on(running.returns, running.lengths)
    loop.state.scaler.returns = running.discounted.copy()
    return True
