"""errno numbers of macOS and Linux, pinned: never decoded with the table of the machine that reads the log.

Names are those of XNU's and Linux's errno.h. A socket call on macOS never returns what 88..115 mean there, and one on
Linux never what 35..65 mean there, so in a socket message such a number tells which system wrote it.
"""

from collections.abc import Sequence

from diagnostics.evidence import OperatingSystem

_COMMON = [
    "EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF", "ECHILD", "-", "ENOMEM",
    "EACCES", "EFAULT", "ENOTBLK", "EBUSY", "EEXIST", "EXDEV", "ENODEV", "ENOTDIR", "EISDIR", "EINVAL", "ENFILE",
    "EMFILE", "ENOTTY", "ETXTBSY", "EFBIG", "ENOSPC", "ESPIPE", "EROFS", "EMLINK", "EPIPE", "EDOM", "ERANGE",
]  # fmt: skip
_DARWIN = [
    "EAGAIN", "EINPROGRESS", "EALREADY", "ENOTSOCK", "EDESTADDRREQ", "EMSGSIZE", "EPROTOTYPE", "ENOPROTOOPT",
    "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "ENOTSUP", "EPFNOSUPPORT", "EAFNOSUPPORT", "EADDRINUSE", "EADDRNOTAVAIL",
    "ENETDOWN", "ENETUNREACH", "ENETRESET", "ECONNABORTED", "ECONNRESET", "ENOBUFS", "EISCONN", "ENOTCONN",
    "ESHUTDOWN", "ETOOMANYREFS", "ETIMEDOUT", "ECONNREFUSED", "ELOOP", "ENAMETOOLONG", "EHOSTDOWN", "EHOSTUNREACH",
    "ENOTEMPTY", "EPROCLIM", "EUSERS", "EDQUOT", "ESTALE", "EREMOTE", "EBADRPC", "ERPCMISMATCH", "EPROGUNAVAIL",
    "EPROGMISMATCH", "EPROCUNAVAIL", "ENOLCK", "ENOSYS", "EFTYPE", "EAUTH", "ENEEDAUTH", "EPWROFF", "EDEVERR",
    "EOVERFLOW", "EBADEXEC", "EBADARCH", "ESHLIBVERS", "EBADMACHO", "ECANCELED", "EIDRM", "ENOMSG", "EILSEQ",
    "ENOATTR", "EBADMSG", "EMULTIHOP", "ENODATA", "ENOLINK", "ENOSR", "ENOSTR", "EPROTO", "ETIME", "EOPNOTSUPP",
    "ENOPOLICY", "ENOTRECOVERABLE", "EOWNERDEAD", "EQFULL",
]  # fmt: skip
_LINUX = [
    "EDEADLK", "ENAMETOOLONG", "ENOLCK", "ENOSYS", "ENOTEMPTY", "ELOOP", "-", "ENOMSG", "EIDRM", "ECHRNG",
    "EL2NSYNC", "EL3HLT", "EL3RST", "ELNRNG", "EUNATCH", "ENOCSI", "EL2HLT", "EBADE", "EBADR", "EXFULL", "ENOANO",
    "EBADRQC", "EBADSLT", "-", "EBFONT", "ENOSTR", "ENODATA", "ETIME", "ENOSR", "ENONET", "ENOPKG", "EREMOTE",
    "ENOLINK", "EADV", "ESRMNT", "ECOMM", "EPROTO", "EMULTIHOP", "EDOTDOT", "EBADMSG", "EOVERFLOW", "ENOTUNIQ",
    "EBADFD", "EREMCHG", "ELIBACC", "ELIBBAD", "ELIBSCN", "ELIBMAX", "ELIBEXEC", "EILSEQ", "ERESTART", "ESTRPIPE",
    "EUSERS", "ENOTSOCK", "EDESTADDRREQ", "EMSGSIZE", "EPROTOTYPE", "ENOPROTOOPT", "EPROTONOSUPPORT",
    "ESOCKTNOSUPPORT", "EOPNOTSUPP", "EPFNOSUPPORT", "EAFNOSUPPORT", "EADDRINUSE", "EADDRNOTAVAIL", "ENETDOWN",
    "ENETUNREACH", "ENETRESET", "ECONNABORTED", "ECONNRESET", "ENOBUFS", "EISCONN", "ENOTCONN", "ESHUTDOWN",
    "ETOOMANYREFS", "ETIMEDOUT", "ECONNREFUSED", "EHOSTDOWN", "EHOSTUNREACH", "EALREADY", "EINPROGRESS", "ESTALE",
    "EUCLEAN", "ENOTNAM", "ENAVAIL", "EISNAM", "EREMOTEIO", "EDQUOT", "ENOMEDIUM", "EMEDIUMTYPE", "ECANCELED",
    "ENOKEY", "EKEYEXPIRED", "EKEYREVOKED", "EKEYREJECTED", "EOWNERDEAD", "ENOTRECOVERABLE", "ERFKILL", "EHWPOISON",
]  # fmt: skip

_MEANINGS = {
    "EPERM": "operation not permitted",
    "ENOENT": "no such file",
    "EINTR": "interrupted call",
    "EIO": "input/output error",
    "EBADF": "the socket was already closed on this side",
    "EAGAIN": "resource temporarily unavailable",
    "ENOMEM": "no memory",
    "EACCES": "permission denied",
    "EFAULT": "bad address",
    "EINVAL": "invalid argument",
    "EMFILE": "too many open files",
    "ENFILE": "too many open files in the system",
    "ENOSPC": "no space left",
    "EPIPE": "the other side had closed the connection",
    "ENOTSOCK": "not a socket",
    "EADDRINUSE": "the port is taken",
    "EADDRNOTAVAIL": "the address is not on this host",
    "ENETDOWN": "the network is down",
    "ENETUNREACH": "no route to the network",
    "ENETRESET": "the network dropped the connection",
    "ECONNABORTED": "the connection was aborted",
    "ECONNRESET": "the other side reset the connection",
    "ENOBUFS": "no buffer space",
    "ENOTCONN": "the socket is not connected",
    "ETIMEDOUT": "the connection timed out",
    "ECONNREFUSED": "nobody listens there",
    "EHOSTDOWN": "the host is down",
    "EHOSTUNREACH": "no route to the host",
    "ENODATA": "no data",
}


def _numbered(first: int, names: Sequence[str]) -> dict[int, str]:
    return {number: name for number, name in enumerate(names, first) if name != "-"}


_TABLES = {
    OperatingSystem.DARWIN: {**_numbered(1, _COMMON), 11: "EDEADLK", **_numbered(35, _DARWIN)},
    OperatingSystem.LINUX: {**_numbered(1, _COMMON), 11: "EAGAIN", **_numbered(35, _LINUX)},
}


def system_of_socket_errno(number: int, otherwise: OperatingSystem) -> OperatingSystem:
    """Which system can have returned `number` from a socket call; `otherwise` where both can."""
    if 35 <= number <= 65:
        return OperatingSystem.DARWIN
    if 88 <= number <= 115:
        return OperatingSystem.LINUX
    return otherwise


def errno_name(number: int, operating_system: OperatingSystem) -> str | None:
    """The symbolic name, or None where the system has no such number."""
    return _TABLES[operating_system].get(number)


def describe_errno(number: int, operating_system: OperatingSystem, *, socket: bool = True) -> str:
    """Number, name and meaning, as one phrase: `errno 104 (ECONNRESET, the other side reset the connection)`.

    Args:
        number: As the log has it; any integer.
        operating_system: The system that wrote the log.
        socket: Whether a socket call failed, so that the number itself may tell the system.
    """
    system = system_of_socket_errno(number, operating_system) if socket else operating_system
    name = errno_name(number, system)
    if name is None:
        return f"errno {number}"
    meaning = _MEANINGS.get(name)
    return f"errno {number} ({name}, {meaning})" if meaning else f"errno {number} ({name})"
