"""Policy distillation: a student learns what a teacher does in the states it reaches itself."""

from dspctl.trainer.distillation.imitation import imitate
from dspctl.trainer.distillation.memory import Memory
from dspctl.trainer.distillation.teacher import Teacher, open_teacher, policy_of

__all__ = ["Memory", "Teacher", "imitate", "open_teacher", "policy_of"]
