"""Can this machine reach its head: by name, by TCP, by the CURVE handshake?"""

import asyncio
import errno
import os
import socket
import time

import anyio
import msgspec
import zmq

from diagnostics.evidence import OperatingSystem
from supervisor.doctor.finding import Finding, failed, ok, skipped
from supervisor.exit_code import ExitCode
from transports.cluster.bus_limits import BusLimits
from transports.cluster.keys import KeyPair
from transports.cluster.node_connection import NodeConnection, addresses_of

HEAD_CHECK, LOCAL_NETWORK = "head", "local-network"
_CONNECT_WITHIN_S = 3.0
_HANDSHAKE_WITHIN_S = 3.0
_POLL_S = 0.02
_MAX_ADDRESSES = 4
_PRIVACY_SINCE_MACOS = 15


class HeadFacts(msgspec.Struct, frozen=True):
    """What came of reaching a head. Steps in order: name, TCP, handshake; the first that failed is set.

    `number` is the errno of a TCP connection that failed. `shook_hands` is None when it was not tried; `untried` says
    why.
    """

    host: str
    port: int
    address: str | None = None
    name_problem: str | None = None
    number: int | None = None
    connected_s: float | None = None
    shook_hands: bool | None = None
    handshake_problem: str | None = None
    untried: str = ""


async def read_head(host: str, port: int, keys: KeyPair | None, head_key: bytes | None) -> HeadFacts:
    """Try to reach a head as a node would, without joining it. Takes 15 s at most, and what the resolver takes.

    A name may have several addresses, and the head may listen at one of them only: the first that connects counts.

    Args:
        host: The head's name or address.
        port: Its port for nodes.
        keys: This machine's own, None when it has none.
        head_key: The key that is trusted as the head's, None when none is.
    """
    try:
        addresses = (await addresses_of(host, port))[:_MAX_ADDRESSES]
    except (OSError, UnicodeError) as problem:
        return HeadFacts(host, port, name_problem=str(problem))
    tried = [await _try_address(host, port, addresses[0])]
    while tried[-1].number is not None and len(tried) < len(addresses):
        tried.append(await _try_address(host, port, addresses[len(tried)]))
    reached = tried[-1] if tried[-1].number is None else tried[0]
    address = reached.address
    if address is None or reached.number is not None:
        return reached
    if keys is None or head_key is None:
        what = "this machine has no key yet" if keys is None else "this machine trusts no head"
        return msgspec.structs.replace(reached, untried=what)
    problem = await _shake_hands(address, port, keys, head_key)
    return msgspec.structs.replace(reached, shook_hands=problem is None, handshake_problem=problem)


def judge_head(facts: HeadFacts | None, why_not: str, system: OperatingSystem) -> Finding:
    """Judge whether the head can be reached. `why_not` says why nobody tried, when `facts` is None."""
    if facts is None:
        return skipped(HEAD_CHECK, why_not)
    where = f"{facts.host} port {facts.port}"
    if facts.name_problem is not None:
        evidence = [f"the name {facts.host} cannot be resolved: {facts.name_problem}"]
        remedy = "Use the head's address, or the name that its Mac shows in Sharing, with .local."
        return failed(HEAD_CHECK, evidence, "The head has no address here.", remedy, ExitCode.UNAVAILABLE)
    if facts.number is not None:
        diagnosis, remedy = _why_no_connection(facts.number, system)
        evidence = [f"no connection to {where} ({facts.address}): {os.strerror(facts.number)} (errno {facts.number})"]
        return failed(HEAD_CHECK, evidence, diagnosis, remedy, ExitCode.UNAVAILABLE)
    connected = f"connected to {where} ({facts.address}) in {(facts.connected_s or 0) * 1000:.1f} ms"
    if facts.shook_hands is None:
        return ok(HEAD_CHECK, connected, f"the handshake was not tried: {facts.untried}")
    if not facts.shook_hands:
        return failed(
            HEAD_CHECK,
            [connected, facts.handshake_problem or ""],
            "The network is fine, but the two do not trust each other, or that is no head.",
            "Compare `ringwarden keys` there with `ringwarden keys list` here, and the other way round.",
            ExitCode.CONFIG,
        )
    return ok(HEAD_CHECK, connected, "each proved its key to the other")


def judge_local_network(facts: HeadFacts | None, system: OperatingSystem, version: str) -> Finding:
    """Judge whether macOS keeps programs from the local network: since macOS 15 a person has to allow it."""
    if system is not OperatingSystem.DARWIN:
        return skipped(LOCAL_NETWORK, "Only macOS asks before a program may use the local network.")
    number = version.partition(".")[0]
    if number.isdecimal() and int(number) < _PRIVACY_SINCE_MACOS:
        return skipped(LOCAL_NETWORK, f"macOS {version} does not ask before a program uses the local network.")
    if facts is None or facts.address is None:
        return skipped(LOCAL_NETWORK, "Nothing on the local network was tried; name the head with --head.")
    if facts.number == errno.EHOSTUNREACH:
        return failed(
            LOCAL_NETWORK,
            [f"{facts.address}: {os.strerror(errno.EHOSTUNREACH)} (errno {errno.EHOSTUNREACH})"],
            "macOS refuses like this when the program may not use the local network, or when there is no way there.",
            "System Settings, Privacy & Security, Local Network: allow your terminal (or Python), and try again.",
            ExitCode.UNAVAILABLE,
        )
    if facts.number is not None:
        return skipped(LOCAL_NETWORK, "The connection failed for another reason; see the check of the head.")
    return ok(LOCAL_NETWORK, f"a connection to {facts.address} was made")


def _why_no_connection(number: int, system: OperatingSystem) -> tuple[str, str]:
    """What a failed connection means, and what to do."""
    match number:
        case errno.ECONNREFUSED:
            return (
                "That machine is there, but nobody listens on the port.",
                "Start the head there (`ringwarden up --nodes ... --bus-host ADDRESS`); 127.0.0.1 is for itself only.",
            )
        case errno.ETIMEDOUT:
            return (
                "Nothing came back: the machine is off or asleep, the address is another's, or a firewall is between.",
                "Try ping; allow Python in the firewall of the head.",
            )
        case errno.EHOSTUNREACH if system is OperatingSystem.DARWIN:
            return (
                "There is no way there, or macOS does not let this program use the local network.",
                "See the check of the local network; check cable, Wi-Fi and address.",
            )
        case _:
            return "This machine has no way there.", "Check cable, Wi-Fi and address; both must be on one network."


async def _try_address(host: str, port: int, address: str) -> HeadFacts:
    began_at = time.monotonic()
    number = await _connect(address, port)
    connected_s = None if number is not None else time.monotonic() - began_at
    return HeadFacts(host, port, address, number=number, connected_s=connected_s)


async def _connect(address: str, port: int) -> int | None:
    """Return None when a TCP connection was made, else its errno."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            with anyio.fail_after(_CONNECT_WITHIN_S):
                await asyncio.get_running_loop().sock_connect(probe, (address, port))
        except TimeoutError:
            return errno.ETIMEDOUT
        except OSError as problem:
            return problem.errno or errno.EIO
    return None


async def _shake_hands(address: str, port: int, keys: KeyPair, head_key: bytes) -> str | None:
    """Return None when both sides proved their keys, else what went wrong. No session is begun."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        connection = NodeConnection(
            context, address, port, keys=keys, head_key=head_key, limits=BusLimits(), from_address=None
        )
    except OSError as problem:
        context.term()
        return str(problem)
    try:
        with anyio.move_on_after(_HANDSHAKE_WITHIN_S):
            while True:
                problem = connection.read_monitor()
                if problem is not None or connection.is_open:
                    return problem
                await anyio.sleep(_POLL_S)
        return f"no handshake within {_HANDSHAKE_WITHIN_S:g} s"
    finally:
        connection.close()
        context.term()
