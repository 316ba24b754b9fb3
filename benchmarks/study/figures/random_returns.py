"""What a policy that acts at random earns, which is the 0 of normalised returns.

``python -m dspctl.benchmarks.study.figures.random_returns --env CartPole-v1 --env Hopper-v5``

Actions are drawn evenly from the action space, on the episodes that every policy is evaluated on.
Environments that the file holds already and that are not named keep their numbers.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dspctl.benchmarks.record.decode import decode
from dspctl.errors import DspctlError, EnvironmentProblem, ResultProblem
from dspctl.runtime.files import write_json
from dspctl.runtime.strict_json import shown, value_from_json
from dspctl.runtime.untrusted import read_bytes

_LARGEST_BYTES = 1 << 20
SCHEMA = 1
KIND = "dspctl.random-returns"
DEFAULT = Path("benchmarks/results/random.json")
_ACTION_SEED = 0


@dataclass(frozen=True)
class RandomReturn:
    """What acting at random earns in one environment.

    Attributes:
        environment: gymnasium id.
        episodes: how many.
        seed: seed of the first episode, as in every evaluation.
        mean: mean return.
        std: standard deviation over episodes.
    """

    environment: str
    episodes: int
    seed: int
    mean: float
    std: float


def measure(environment: str, *, episodes: int = 100) -> RandomReturn:
    """Play *episodes* episodes with actions drawn evenly from the action space.

    Raises:
        EnvironmentProblem: the action space has no bounds to draw between.
        UnknownEnvironment, UnsupportedSpace: see `dspctl.trainer.environments.describe`.
    """
    from dspctl.trainer.environments import describe
    from dspctl.trainer.evaluation import EVALUATION_SEED, evaluate

    task = describe(environment)
    rng = np.random.default_rng(_ACTION_SEED)

    if task.discrete:
        first = task.action.start

        def act(observations: NDArray[np.float32]) -> NDArray[Any]:
            return rng.integers(first, first + task.outputs, len(observations))

    else:
        low, high = task.action.low, task.action.high
        if low is None or high is None or not np.isfinite([low, high]).all():
            raise EnvironmentProblem(
                f"{environment} does not bound its actions, so none can be drawn evenly: leave it "
                "out, and its normalised returns are left out of the tables"
            )

        def act(observations: NDArray[np.float32]) -> NDArray[Any]:
            shape = (len(observations), task.outputs)
            return rng.uniform(low, high, shape).astype(np.float32)

    found = evaluate(act, environment, episodes=episodes, seed=EVALUATION_SEED)
    return RandomReturn(environment, episodes, EVALUATION_SEED, found.mean, found.std)


def read_random(path: Path) -> dict[str, RandomReturn]:
    """Environment → what acting at random earns there; empty if there is no file.

    Raises:
        ResultProblem: the file is something else.
    """
    try:
        values = value_from_json(read_bytes(path, _LARGEST_BYTES), "it")
        if not isinstance(values, dict) or values.get("kind") != KIND:
            raise ValueError(f"it is no {KIND}")
        if values.get("schema") != SCHEMA:
            raise ValueError(f"its schema is {shown(values.get('schema'))}, not {SCHEMA}")
        found: tuple[RandomReturn, ...] = decode(
            tuple[RandomReturn, ...], values.get("environments"), "environments"
        )
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ResultProblem(
            f"{path} does not hold the returns of random policies ({error}): name another with "
            "--random, or remove it and measure again"
        ) from error
    return {one.environment: one for one in found}


def write_random(path: Path, found: dict[str, RandomReturn]) -> None:
    """Replace the file atomically, environments in order.

    Raises:
        WriteFailed: the file cannot be written; the old one is intact.
    """
    entries = [asdict(found[name]) for name in sorted(found)]
    write_json(path, {"kind": KIND, "schema": SCHEMA, "environments": entries})


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and replace the file; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m dspctl.benchmarks.study.figures.random_returns",
        description="Measure what a policy that acts at random earns.",
    )
    parser.add_argument(
        "--env", action="append", required=True, metavar="ID", help="environment; repeatable"
    )
    parser.add_argument("--episodes", type=int, default=100, help="episodes of each")
    parser.add_argument("--out", type=Path, default=DEFAULT, help="the file to write")
    options = parser.parse_args(arguments)
    try:
        found = read_random(options.out)
        for environment in options.env:
            one = measure(environment, episodes=options.episodes)
            found[environment] = one
            print(f"{environment}: {one.mean:.2f} (standard deviation {one.std:.2f})")
        write_random(options.out, found)
    except DspctlError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
