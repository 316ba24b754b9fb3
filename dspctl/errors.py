"""Every error dspctl raises on purpose: one tree, one sentence each, and what to do next.

The command line prints the sentence and exits 2. Anything outside this tree is a defect in
dspctl and is shown with its traceback.
"""


class DspctlError(Exception):
    """Base of all errors caused by input, files or the machine; the message says what to do."""


# --- environments -------------------------------------------------------------------------


class EnvironmentProblem(DspctlError):
    """Something is wrong with the environment that was asked for."""


class UnknownEnvironment(EnvironmentProblem):
    """No registered environment has this id; the message lists the nearest names."""


class UnsupportedSpace(EnvironmentProblem):
    """The observation or action space is not one dspctl can train on or run."""


# --- installation -------------------------------------------------------------------------


class MissingExtra(DspctlError):
    """An optional dependency is absent; the message holds the command that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed: "
            f"run  pip install 'dspctl[{extra}]'"
        )


# --- configuration ------------------------------------------------------------------------


class ConfigProblem(DspctlError):
    """A setting has a value that cannot work."""


class InvalidSparsity(ConfigProblem):
    """The sparsity is outside [0, 1)."""


class ImpossibleWidths(ConfigProblem):
    """The requested sparsity and the floor of units per layer cannot both hold."""


class UnknownMethod(ConfigProblem):
    """No pruning method has this name."""


class UnknownActivation(ConfigProblem):
    """The activation is not one every backend can run."""


class UnknownBackend(ConfigProblem):
    """No backend has this name."""


class UnknownTarget(ConfigProblem):
    """No export target has this name."""


class UnsupportedOpset(ConfigProblem):
    """The ONNX opset lacks an operator that policies need, or is newer than the onnx package."""


# --- runs ---------------------------------------------------------------------------------


class RunProblem(DspctlError):
    """A run folder cannot be used."""


class RunNotFound(RunProblem):
    """The folder does not exist or is empty."""


class RunIncomplete(RunProblem):
    """The folder holds a run that was cut off before it wrote what is needed."""


class RunVersion(RunProblem):
    """The run was written by another, incompatible version."""


class TrainingDiverged(RunProblem):
    """A parameter or loss stopped being a finite number."""


# --- policies and bundles -----------------------------------------------------------------


class PolicyProblem(DspctlError):
    """A policy file or its contents cannot be used."""


class PolicyNotFound(PolicyProblem):
    """There is no policy at this path."""


class PolicyTruncated(PolicyProblem):
    """The file is not a whole safetensors file."""


class PolicyFormat(PolicyProblem):
    """The metadata is missing, malformed or of another schema version."""


class PolicyShape(PolicyProblem):
    """Tensors do not fit together, or a tensor is missing or unexpected."""


class PolicyNotFinite(PolicyProblem):
    """A weight, bias or statistic is NaN or infinite."""


class BundleProblem(DspctlError):
    """A bundle folder cannot be used."""


class BundleNotFound(BundleProblem):
    """There is no bundle folder at this path."""


class BundleFormat(BundleProblem):
    """The manifest or a file it lists is malformed or of another schema version."""


class BundleIncomplete(BundleProblem):
    """A file that the manifest lists is missing or cannot be read."""


class BundleTampered(BundleProblem):
    """A file differs from what was exported, or one is there that was not exported."""


class ObservationShape(DspctlError):
    """An observation does not have the shape or type that the policy reads."""


class ObservationNotFinite(DspctlError):
    """An observation holds a NaN, an infinity or a value beyond float32; no action was computed."""


class NotEquivalent(DspctlError):
    """A produced artefact does not compute what its source computes; nothing was written."""


class BackendUnavailable(DspctlError):
    """The backend asked for cannot run here or with this artefact."""


# --- measurements -------------------------------------------------------------------------


class ResultProblem(DspctlError):
    """A results file cannot be read."""


# --- files --------------------------------------------------------------------------------


class OutputExists(DspctlError):
    """The output path is taken; the message names --force."""


class WriteFailed(DspctlError):
    """The file could not be written (full disk, read-only folder); the old one is intact."""
