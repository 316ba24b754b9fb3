"""Every error dspctl raises on purpose: one tree, one sentence each, and what to do next.

The command line prints the sentence and exits 2. Anything outside this tree is a defect in
dspctl and is shown with its traceback.
"""

from typing import ClassVar


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


class MissingTensorRT(MissingExtra):
    """TensorRT's Python package is absent; it does not come from where other packages do."""

    _ADVICE: ClassVar[dict[str, str]] = {
        "tensorrt": "JetPack brings it (sudo apt install python3-libnvinfer; a virtual environment "
        "sees it when made with --system-site-packages); for an RTX GPU in a PC run  "
        "pip install 'dspctl[rtx]'  and use --flavor rtx",
        "tensorrt_rtx": "run  pip install 'dspctl[rtx]'; for a Jetson use --flavor tensorrt, which "
        "JetPack brings",
    }

    def __init__(self, package: str, purpose: str) -> None:
        self.package, self.extra = package, "rtx"
        DspctlError.__init__(
            self,
            f"{purpose} needs the package '{package}', which is not installed: "
            f"{self._ADVICE[package]}",
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


class TeacherMismatch(ConfigProblem):
    """The teacher was trained for another environment."""


class UnknownActivation(ConfigProblem):
    """The activation is not one every backend can run."""


class UnknownBackend(ConfigProblem):
    """No backend has this name."""


class UnknownTarget(ConfigProblem):
    """No export target has this name."""


class InvalidName(ConfigProblem):
    """The name cannot be an identifier in generated code."""


class InvalidVersion(ConfigProblem):
    """A policy's version is digits and dots, so that a later one can be told."""


class InvalidRate(ConfigProblem):
    """The control rate is not a positive number, or not one that a control loop can run at."""


class InvalidFaults(ConfigProblem):
    """The faults to put into a loop cannot be read; the message names the part and an example."""


class UnknownInvalidMode(ConfigProblem):
    """No rule for invalid observations, or for their range, has this name."""


class InvalidSafeAction(ConfigProblem):
    """The safe action is not one that the environment takes; the message holds the bounds."""


class UnsupportedPrecision(ConfigProblem):
    """The precision is unknown, or cannot be had here; the message says which can."""


class UnsupportedOpset(ConfigProblem):
    """The ONNX opset lacks an operator that policies need, or is newer than the onnx package."""


class StudyProblem(ConfigProblem):
    """A study file asks for something that cannot be; the message names the field."""


class OtherStudy(StudyProblem):
    """The folder holds results of another study; the message names what differs."""


class NoStudy(StudyProblem):
    """What cells were to be taken over from is neither a study's folder nor a results file."""


# --- runs ---------------------------------------------------------------------------------


class RunProblem(DspctlError):
    """A run folder cannot be used."""


class RunNotFound(RunProblem):
    """The folder does not exist, or holds no run."""


class RunIncomplete(RunProblem):
    """The folder holds a run that was cut off before it wrote what is needed."""


class CheckpointDamaged(RunIncomplete):
    """No checkpoint of the run is whole; the message says what is wrong with each."""


class RunLocked(RunProblem):
    """Another process trains in the same run folder."""


class RunVersion(RunProblem):
    """The run was written by another, incompatible version."""


class TrainingFailed(RunProblem):
    """A training in a process of its own ended without a result."""


class NothingKept(DspctlError):
    """No network that was trained reaches the goal; all of them are kept."""


class TrainingDiverged(RunProblem):
    """A number stopped being finite, or training stopped working; says what to change."""


# --- policies and bundles -----------------------------------------------------------------


class PolicyProblem(DspctlError):
    """A policy file or its contents cannot be used."""


class PolicyNotFound(PolicyProblem):
    """There is no policy at this path."""

    @classmethod
    def unreadable(cls, path: object, error: OSError) -> "PolicyNotFound":
        """Of a path that may not be looked at, is too long, or leads in circles."""
        return cls(
            f"{path} cannot be read ({error.strerror or error}): check its permissions, or give "
            "another path"
        )


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


class BundleUnsigned(BundleProblem):
    """A signature was asked for, and the bundle carries none."""


class BundleSignatureInvalid(BundleProblem):
    """A trusted key's signature is there, and it is not one of this manifest."""


class KeyUntrusted(BundleProblem):
    """Only keys signed the bundle that are not among the trusted ones; the message names them."""


class KeyRevoked(BundleProblem):
    """Of the trusted keys only revoked ones signed the bundle; the message names them."""


class BundleUnfit(BundleProblem):
    """A bundle is what was exported, and computes something else than its policy here."""


class ObservationProblem(DspctlError):
    """An observation cannot be used."""


class ObservationShape(ObservationProblem):
    """An observation or an action buffer does not have the shape or type that the policy needs."""


class ObservationInvalid(ObservationProblem):
    """A feature that the network reads is not finite or out of range; no action was computed."""


class ObservationNotFinite(ObservationProblem):
    """A recorded observation holds a NaN, an infinity or a value beyond float32."""


class NotEquivalent(DspctlError):
    """A produced artefact does not compute what its source computes; nothing was written."""


class BackendUnavailable(DspctlError):
    """The backend asked for cannot run here or with this artefact."""


class EngineMismatch(BackendUnavailable):
    """A TensorRT plan was built for another machine, TensorRT or graph; says what builds it."""


class DeviceError(BackendUnavailable):
    """The GPU, its driver or the CUDA runtime refused a call; the message names the call."""


class EngineBuildFailed(DspctlError):
    """TensorRT could not build an engine from the graph; holds what TensorRT logged."""


class CalibrationMissing(DspctlError):
    """int8 was asked for without recorded observations to calibrate on."""


class PrecisionOverflow(PolicyProblem):
    """A weight, bias or bound does not fit the numbers of the precision asked for."""


class WrongProcessor(BackendUnavailable):
    """Native code was built for another processor than this machine's; names both."""


class GateFailed(DspctlError):
    """The exported artefact earns less in its environment than the policy; nothing was written."""


class NativeBuildProblem(DspctlError):
    """Native code could not be built."""


class CompilerMissing(NativeBuildProblem):
    """The compiler that the target needs is not installed; the message holds the install line."""


class StaticLibraryMissing(NativeBuildProblem):
    """The C library of this machine cannot be linked statically; says what to install."""


class CompilationFailed(NativeBuildProblem):
    """A compiler refused, or made something that breaks a promise of the generated header."""


class TargetTooSmall(DspctlError):
    """The policy does not fit what the target offers; the message says by how much."""


# --- keys ---------------------------------------------------------------------------------


class KeyProblem(DspctlError):
    """A key, or a list of keys, cannot be used."""


class KeyNotFound(KeyProblem):
    """There is no key at this path."""


class KeyFormat(KeyProblem):
    """The file is no Ed25519 key in PEM, or the other half of the pair; or no list of key ids."""


class KeyExposed(KeyProblem):
    """Others may read the private key; the message holds the chmod command."""


class KeyPassphrase(KeyProblem):
    """The private key is encrypted, and the passphrase is not given or not the right one."""


class TooManySignatures(KeyProblem):
    """The bundle carries as many signatures as there may be."""


# --- deployments --------------------------------------------------------------------------


class DeployProblem(DspctlError):
    """A bundle cannot be installed, or taken back; what ran before still does."""


class NoDeployment(DeployProblem):
    """The folder holds something else than installed bundles, or none yet."""


class DeployLocked(DeployProblem):
    """Another process installs a bundle there."""


class OtherPolicy(DeployProblem):
    """The folder runs bundles of another name, with whose versions this one's do not compare."""


class VersionNotLater(DeployProblem):
    """The bundle's version is not later than the installed one's; names --allow-downgrade."""


class NoPrevious(DeployProblem):
    """There is no earlier bundle to go back to."""


# --- measurements -------------------------------------------------------------------------


class ResultProblem(DspctlError):
    """A results file cannot be read."""


class PowerUnavailable(DspctlError):
    """No sensor and no counter tells the power here; says of each why."""


class BackgroundLoadFailed(DspctlError):
    """The load that was asked for does not run, or ended while calls were timed."""


class ReportProblem(DspctlError):
    """A report cannot be made from what was given."""


class StudyLocked(DspctlError):
    """Another process works on the same study folder."""


class SearchLocked(DspctlError):
    """Another process searches in the same folder."""


# --- other machines -----------------------------------------------------------------------


class HostProblem(DspctlError):
    """Another machine cannot be used for measuring."""


class InvalidHost(HostProblem):
    """The name cannot be one of a machine; it is not given to any program."""


class HostUnreachable(HostProblem):
    """No connection comes about; the message holds what ssh said."""


class HostRefused(HostProblem):
    """The machine, or its key, was not accepted; the message holds what ssh said."""


class ConnectionLost(HostProblem):
    """A connection ended in the middle; the message says what was kept."""


class HostUnsuitable(HostProblem):
    """The machine lacks a program that measuring there needs; the message names it."""


class HostStorage(HostProblem):
    """The machine cannot keep what is copied to it (full disk, read-only folder)."""


class HostAnswer(HostProblem):
    """The machine answered something that cannot be used; nothing of it was kept."""


class ClusterUnreachable(HostProblem):
    """No Ray cluster answers at the address; the message says how to start one."""


class ClusterUnsuitable(HostProblem):
    """A machine of the cluster cannot run a cell; the message names what it lacks."""


# --- files --------------------------------------------------------------------------------


class NotComparable(ResultProblem):
    """Two benchmark results from which nothing follows for each other."""


class OutputExists(DspctlError):
    """The output path is taken; the message names --force."""


class WriteFailed(DspctlError):
    """The file could not be written (full disk, read-only folder); the old one is intact."""
