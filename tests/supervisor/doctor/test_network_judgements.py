"""What is made of facts about the way to other machines, for both systems."""

import errno

import pytest

from diagnostics.evidence import OperatingSystem
from supervisor.cluster.addresses import LinkKind
from supervisor.doctor.clock import judge_clock, judge_synchronised
from supervisor.doctor.finding import CheckState, Finding
from supervisor.doctor.head_reach import HeadFacts, judge_head, judge_local_network
from supervisor.doctor.network import Link, RdmaFacts, judge_links, judge_proxies, judge_rdma
from supervisor.doctor.nodes import judge_nodes
from supervisor.doctor.system_tool import ToolAnswer
from supervisor.settings import Settings
from tests.supervisor.doctor.judging import OK, SKIPPED, WARNING, outcome
from transports.http.gateway import ClusterView, GroupState, NodeView

DARWIN, LINUX = OperatingSystem.DARWIN, OperatingSystem.LINUX
GIB = 1024**3


def test_proxies_hurt_only_without_an_exception_and_their_passwords_are_never_shown():
    proxy = {"HTTP_PROXY": "http://ann:secret-word@proxy.example:3128"}
    assert outcome(judge_proxies({}, "127.0.0.1")) == OK
    finding = judge_proxies(proxy, "127.0.0.1")
    assert outcome(finding) == WARNING
    assert "http://proxy.example:3128" in finding.evidence[0]
    assert "secret-word" not in repr(finding)
    for exceptions in ("127.0.0.1", "*", "localhost, 127.0.0.1 "):
        assert outcome(judge_proxies({**proxy, "no_proxy": exceptions}, "127.0.0.1")) == OK
    assert outcome(judge_proxies({**proxy, "NO_PROXY": ".local"}, "mini.local")) == OK
    assert "secret-word" not in repr(judge_proxies({"ALL_PROXY": "ann:secret-word@[oops"}, "127.0.0.1"))


def test_the_links_of_a_ring():
    thunderbolt = Link("bridge0", LinkKind.THUNDERBOLT, ("169.254.1.2",))
    mute = Link("bridge0", LinkKind.THUNDERBOLT, ())
    wifi = Link("en0", LinkKind.WIRELESS, ("192.168.1.7",))
    tunnel = Link("utun3", LinkKind.VIRTUAL, ("10.8.0.2",))

    def judged(*links: Link, in_cluster: bool = True) -> Finding:
        return judge_links(links, {"rdma_en5": True, "rdma_en6": False}, in_cluster=in_cluster, system=DARWIN)

    assert outcome(judged(wifi, thunderbolt)) == OK
    assert "thunderbolt bridge0" in judged(wifi, thunderbolt).evidence[0]
    assert "Thunderbolt Bridge" in judged(wifi, mute).remedy
    assert "Wi-Fi" in judged(wifi).diagnosis
    wired = Link("en1", LinkKind.WIRED, ("192.168.1.8",))
    assert outcome(judged(wired, Link("en5", LinkKind.THUNDERBOLT, ()))) == OK
    assert "en6" in str(judged(wired, Link("en6", LinkKind.THUNDERBOLT, ())).evidence)
    assert outcome(judged(tunnel)) == (CheckState.FAILED, 69)
    assert outcome(judged(wifi, in_cluster=False)) == SKIPPED


def test_rdma_is_a_fault_only_where_jaccl_is_wanted():
    ready = RdmaFacts({"rdma_en2": True}, ToolAnswer(output="enabled"))
    off = RdmaFacts({"rdma_en2": True}, ToolAnswer(output="disabled"))
    absent = RdmaFacts({}, ToolAnswer(problem="there is no rdma_ctl here"), "there is no ibv_devinfo here")
    with_ring, with_jaccl = Settings(backend="ring"), Settings(backend="jaccl")
    assert outcome(judge_rdma(ready, with_jaccl, DARWIN)) == OK
    assert outcome(judge_rdma(off, with_jaccl, DARWIN)) == (CheckState.FAILED, 69)
    assert "rdma_ctl enable" in judge_rdma(off, with_jaccl, DARWIN).remedy
    finding = judge_rdma(absent, with_ring, DARWIN)
    assert outcome(finding) == SKIPPED
    assert "there is no ibv_devinfo here" in finding.evidence
    assert outcome(judge_rdma(RdmaFacts({"mlx5_0": False}), with_jaccl, LINUX)) == (CheckState.FAILED, 69)


@pytest.mark.parametrize(
    ("facts", "system", "expected", "words"),
    [
        (HeadFacts("mini.local", 1, name_problem="not known"), LINUX, (CheckState.FAILED, 69), "no address"),
        (HeadFacts("h", 1, "10.0.0.2", number=errno.ECONNREFUSED), LINUX, (CheckState.FAILED, 69), "nobody listens"),
        (HeadFacts("h", 1, "10.0.0.2", number=errno.ETIMEDOUT), LINUX, (CheckState.FAILED, 69), "firewall"),
        (HeadFacts("h", 1, "10.0.0.2", number=errno.EHOSTUNREACH), DARWIN, (CheckState.FAILED, 69), "local network"),
        (HeadFacts("h", 1, "10.0.0.2", number=errno.EHOSTUNREACH), LINUX, (CheckState.FAILED, 69), "no way there"),
        (HeadFacts("h", 1, "10.0.0.2", connected_s=0.001, untried="no key"), LINUX, OK, ""),
        (HeadFacts("h", 1, "10.0.0.2", connected_s=0.001, shook_hands=True), LINUX, OK, ""),
        (
            HeadFacts("h", 1, "10.0.0.2", connected_s=0.001, shook_hands=False, handshake_problem="not trusted"),
            LINUX,
            (CheckState.FAILED, 78),
            "trust",
        ),
    ],
)
def test_each_step_to_a_head(facts: HeadFacts, system: OperatingSystem, expected: tuple[CheckState, int], words: str):
    finding = judge_head(facts, "", system)
    assert outcome(finding) == expected
    assert words in finding.diagnosis


def test_local_network_privacy_is_told_from_its_errno_on_macos_15():
    refused = HeadFacts("h", 1, "10.0.0.2", number=errno.EHOSTUNREACH)
    reached = HeadFacts("h", 1, "10.0.0.2", connected_s=0.001)
    assert outcome(judge_local_network(refused, DARWIN, "15.1")) == (CheckState.FAILED, 69)
    assert outcome(judge_local_network(reached, DARWIN, "26.0")) == OK
    assert outcome(judge_local_network(refused, DARWIN, "14.7")) == SKIPPED
    assert outcome(judge_local_network(refused, LINUX, "6.1")) == SKIPPED
    assert outcome(judge_local_network(None, DARWIN, "26.0")) == SKIPPED


def test_clocks():
    assert outcome(judge_clock(0.4)) == OK
    assert outcome(judge_clock(-30.0)) == WARNING
    assert "behind" in judge_clock(-30.0).evidence[0]
    assert outcome(judge_clock("nobody answered")) == SKIPPED
    assert outcome(judge_synchronised(ToolAnswer(output="yes"))) == OK
    assert outcome(judge_synchronised(ToolAnswer(output="no"))) == WARNING
    assert outcome(judge_synchronised(ToolAnswer(problem="there is no timedatectl here"))) == SKIPPED
    assert outcome(judge_synchronised(None)) == SKIPPED


def test_nodes_are_told_in_the_heads_own_words():
    nodes = (
        NodeView("head", True, "a.local", "darwin 26.2", "Apple M4", GIB),
        NodeView("mini-2", True, "b.local", "darwin 26.2", "Apple M4", GIB, 0.4, "mlx is 0.32.4 on the head and ..."),
        NodeView("mini-3", False, "c.local", "darwin 26.2", "Apple M4", GIB, 60.0, "it was silent for 5 s"),
    )
    view = ClusterView("tiny", GroupState.DEGRADED, 1, 2, "tensor", "ring", (), 0, 0, nodes=nodes)
    found = list(judge_nodes(view, in_cluster=True))
    assert [outcome(one) for one in found] == [OK, WARNING, (CheckState.FAILED, 75)]
    assert "it was silent for 5 s" in found[2].evidence
    assert [outcome(one) for one in judge_nodes(None, in_cluster=True)] == [SKIPPED]
