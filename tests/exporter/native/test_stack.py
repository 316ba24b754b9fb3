import pytest

from dspctl.errors import CompilationFailed
from dspctl.exporter.native.stack import (
    deepest_stack,
    frames_from_su,
    with_return_address,
)


def test_the_deepest_chain_counts() -> None:
    frames = {"act": 16, "logits": 100, "network": 40, "layer": 8, "repair": 30}
    calls = {
        "act": frozenset({"network", "repair"}),
        "logits": frozenset({"repair"}),
        "network": frozenset({"layer"}),
        "layer": frozenset[str](),
        "repair": frozenset[str](),
    }
    stack = deepest_stack(frames, calls)
    assert (stack.bytes, stack.chain) == (130, ("logits", "repair"))
    assert deepest_stack({**frames, "layer": 80}, calls).chain == ("act", "network", "layer")


def test_recursion_has_no_bound() -> None:
    calls = {"act": frozenset({"network"}), "network": frozenset({"act"})}
    with pytest.raises(CompilationFailed, match="act calls itself through act, network"):
        deepest_stack({"act": 8, "network": 8}, calls)


def test_an_unknown_frame_is_refused() -> None:
    with pytest.raises(CompilationFailed, match="did not tell how much stack helper uses"):
        deepest_stack({"act": 8}, {"act": frozenset({"helper"}), "helper": frozenset()})


def test_gccs_file() -> None:
    text = "a.c:8:5:repair\t8\tstatic\na.c:40:5:act\t192\tdynamic,bounded\n"
    assert frames_from_su(text) == {"repair": 8, "act": 192}


def test_a_frame_that_grows_is_refused() -> None:
    with pytest.raises(CompilationFailed, match="stack use of act has no bound"):
        frames_from_su("a.c:40:5:act\t192\tdynamic\n")


def test_clang_leaves_out_what_x86_pushes() -> None:
    assert with_return_address({"act": 24}, "x86_64") == {"act": 32}
    assert with_return_address({"act": 24}, "thumb") == {"act": 24}
