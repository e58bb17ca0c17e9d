"""Every violation code has a corruption that raises it alone; nothing valid is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.corruptions import ARCH, CORRUPTIONS, Built, Case, build, valid
from support.random_nets import nets

from tncompile import verify as verifiers
from tncompile.errors import InfeasibleError, InternalError, VerificationError
from tncompile.ir import Stage
from tncompile.verify import ALL_CODES, findings, verify


@pytest.fixture(scope="module")
def built() -> Built:
    return valid()


def unnoticed(built: Built) -> set[str]:
    """Returns the codes whose corruption no verifier refuses."""
    return {code for code, corruption in CORRUPTIONS.items() if not corruption(built).codes()}


def test_every_code_has_a_corruption():
    assert set(CORRUPTIONS) == set(ALL_CODES)


@pytest.mark.parametrize("code", sorted(ALL_CODES))
def test_corruption_raises_its_code_alone(built: Built, code: str):
    assert CORRUPTIONS[code](built).codes() == {code}


def test_valid_stages_pass(built: Built):
    for stage in vars(built).values():
        assert Case(stage).codes() == set()
    assert Case(built.image, against=built.routed).codes() == set()


SAVINGS = ("trim_padding", "free_blocks", "share_cores", "drop_unread", "fold_constants")


@settings(max_examples=25, deadline=None)
@given(
    net=nets(inputs=8),
    packets=st.sampled_from([1, 3, "all"]),
    axons=st.sampled_from([16, 22, 40]),
    saved=st.fixed_dictionaries(dict.fromkeys(SAVINGS, st.booleans())),
)
def test_stages_of_random_nets_pass(net, packets, axons, saved):
    arch = ARCH.model_copy(update={"axons": axons, "neurons": axons // 8 * 8, "grid": (16, 16), "dead_cores": ()})
    try:
        built = build(net, arch, packets_per_bit=packets, **saved)
    except InfeasibleError:
        return
    for stage in vars(built).values():
        verify(stage, arch)
    assert Case(built.image, arch, built.routed).codes() == set()


MODULES = ("logical", "trinary", "core_graph", "partitioned", "placed", "routed", "image")


@pytest.mark.parametrize("module", MODULES)
def test_a_verifier_that_accepts_all_is_noticed(built: Built, module: str, monkeypatch: pytest.MonkeyPatch):
    disabled = getattr(verifiers, module)
    monkeypatch.setattr(disabled, "verify", lambda stage, arch: None)
    codes = set(disabled.CODES)
    if module == "image":  # what it compares with the routed chip is a check of its own
        codes = {code for code in codes if not code.startswith("image/decode")}
    assert unnoticed(built) == codes


def test_a_check_that_is_left_out_is_noticed(built: Built, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verifiers.core_graph, "_copies", lambda *_: None)
    assert unnoticed(built) == {"core-graph/copy"}


def test_violations_say_what_where_limit_and_actual(built: Built):
    with pytest.raises(VerificationError) as caught:
        verify(CORRUPTIONS["core-graph/latency"](built).stage, ARCH)
    (violation, *_) = caught.value.violations
    latency = built.graph.latency
    assert violation.code == "core-graph/latency"
    assert violation.where.startswith("pin of core ")
    assert violation.limit == f"tick {latency + 1}, the declared latency"
    assert violation.actual == f"tick {latency}"


def test_violations_of_one_code_are_counted_beyond_the_first():
    found = findings.Findings("Stage", {"stage/what": "nothing"})
    for number in range(findings.SHOWN + 3):
        found.add("stage/what", f"place {number}", "right", "wrong")
    with pytest.raises(VerificationError) as caught:
        found.check()
    assert len(caught.value.violations) == findings.SHOWN + 1
    assert "3 more of these" in str(caught.value)


def test_a_code_that_is_not_listed_is_refused():
    with pytest.raises(KeyError):
        findings.Findings("Stage", {}).add("stage/what", "here", "right", "wrong")


def test_a_stage_without_verifier_is_refused():
    with pytest.raises(InternalError, match="no verifier for a stage of type Stage"):
        verify(Stage(), ARCH)
