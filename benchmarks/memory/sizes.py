"""What compiled code and a TensorRT plan occupy, as their own reports say."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CodeSize:
    """One target's native code.

    Attributes:
        label: the subject.
        target: the folder under ``native/``.
        flash_bytes: code and constants of the library.
        ram_bytes: variables that it keeps between calls.
        stack_bytes: the most that one call needs, by the compiler; None where it does not tell.
        library_bytes: the shared library's file; None where there is none (microcontrollers).
        command_bytes: the static program's file; None where there is none.
    """

    label: str
    target: str
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int | None
    library_bytes: int | None
    command_bytes: int | None


@dataclass(frozen=True)
class PlanSize:
    """One TensorRT plan.

    Attributes:
        label: the subject.
        precision: such as ``fp32``.
        plan_bytes: the serialised plan.
        device_memory_bytes: what its execution context needs on the GPU; None where no GPU could
            be asked.
    """

    label: str
    precision: str
    plan_bytes: int
    device_memory_bytes: int | None
