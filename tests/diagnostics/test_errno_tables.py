import errno
import sys

import pytest

from diagnostics.errno_tables import describe_errno, errno_name, system_of_socket_errno
from diagnostics.evidence import OperatingSystem

DARWIN, LINUX = OperatingSystem.DARWIN, OperatingSystem.LINUX


@pytest.mark.parametrize(
    ("name", "darwin", "linux"),
    [
        ("ECONNRESET", 54, 104), ("EPIPE", 32, 32), ("ETIMEDOUT", 60, 110), ("ECONNREFUSED", 61, 111),
        ("EHOSTUNREACH", 65, 113), ("EHOSTDOWN", 64, 112), ("ENOTCONN", 57, 107), ("EBADF", 9, 9),
        ("ENETUNREACH", 51, 101), ("ENETDOWN", 50, 100), ("EADDRINUSE", 48, 98), ("EADDRNOTAVAIL", 49, 99),
        ("ECONNABORTED", 53, 103), ("ENOBUFS", 55, 105), ("EAGAIN", 35, 11), ("EINVAL", 22, 22), ("EMFILE", 24, 24),
        ("ENODATA", 96, 61), ("EDEADLK", 11, 35), ("EQFULL", 106, None),
    ],
)  # fmt: skip
def test_names_by_system(name: str, darwin: int, linux: int | None) -> None:
    assert errno_name(darwin, DARWIN) == name
    if linux is not None:
        assert errno_name(linux, LINUX) == name


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="only these two systems are pinned")
def test_the_pinned_table_is_this_system_s() -> None:
    here = LINUX if sys.platform == "linux" else DARWIN
    aliases = {"EWOULDBLOCK", "EDEADLOCK", "ENOTSUP", "EOPNOTSUPP"}
    for number, name in errno.errorcode.items():
        if name not in aliases:
            assert errno_name(number, here) == name


def test_the_number_in_a_socket_message_tells_the_system() -> None:
    assert system_of_socket_errno(54, LINUX) is DARWIN
    assert system_of_socket_errno(104, DARWIN) is LINUX
    assert system_of_socket_errno(32, DARWIN) is DARWIN


def test_descriptions() -> None:
    assert describe_errno(104, DARWIN) == "errno 104 (ECONNRESET, the other side reset the connection)"
    assert describe_errno(61, LINUX, socket=False) == "errno 61 (ENODATA, no data)"
    assert describe_errno(9999, LINUX) == "errno 9999"
