"""How a process says that it crashed."""

from diagnostics.cause import Cause
from diagnostics.signature import Signature, Strength

MERE_ABORTS = frozenset(
    {"faulthandler.aborted", "abort.libcxxabi", "abort.libstdcxx", "abort.no_exception", "shell.aborted"}
)
"""Signatures that say that a process aborted, not what moved it to."""


def _faulthandler(name: str, words: str, cause: Cause, message: str) -> Signature:
    return Signature(
        id=f"faulthandler.{name}",
        cause=cause,
        keyword="Fatal Python error",
        pattern=rf"Fatal Python error: {words}",
        message=message,
        example=f"Fatal Python error: {words}",
        source="CPython faulthandler",
        native=True,
        strength=Strength.CRASH,
    )


CRASH: tuple[Signature, ...] = (
    _faulthandler("segfault", "Segmentation fault", Cause.SEGFAULT, "crashed with a segmentation fault"),
    _faulthandler("bus_error", "Bus error", Cause.BUS_ERROR, "crashed with a bus error"),
    _faulthandler("aborted", "Aborted", Cause.ABORT_OTHER, "aborted itself"),
    Signature(
        id="faulthandler.other",
        cause=Cause.ABORT_OTHER,
        keyword="Fatal Python error",
        pattern=r"Fatal Python error: (?P<text>.{1,120})",
        message="was ended by a fatal error of Python; it said: {text}",
        example="Fatal Python error: Floating point exception",
        source="CPython",
        native=True,
        strength=Strength.CRASH,
    ),
    Signature(
        id="abort.heap",
        cause=Cause.ABORT_OTHER,
        keyword="(",
        pattern=r"double free or corruption \(|free\(\): invalid (?:pointer|size|next size)|malloc\(\): \w+"
        r"|realloc\(\): invalid"
        r"|munmap_chunk\(\): invalid|malloc: \*\*\* error for object",
        message="aborted because its heap was damaged",
        example="double free or corruption (!prev)",
        source="glibc, macOS malloc",
        native=True,
        strength=Strength.CRASH,
    ),
    Signature(
        id="abort.check",
        cause=Cause.ABORT_OTHER,
        keyword="*** ",
        pattern=r"\*\*\* stack smashing detected \*\*\*",
        message="aborted because its memory was damaged",
        example="*** stack smashing detected ***: terminated",
        source="glibc",
        native=True,
        strength=Strength.CRASH,
    ),
    Signature(
        id="abort.heap_size",
        cause=Cause.ABORT_OTHER,
        keyword="corrupted size",
        pattern=r"corrupted size vs\. prev_size",
        message="aborted because its heap was damaged",
        example="corrupted size vs. prev_size",
        source="glibc",
        native=True,
        strength=Strength.CRASH,
    ),
    Signature(
        id="abort.assertion",
        cause=Cause.ABORT_OTHER,
        keyword="ssertion",
        pattern=r"Assertion failed: \(|: Assertion `.{1,200}' failed|failed assertion\b",
        message="aborted because a check inside a native library failed",
        example="Assertion failed: (n > 0), function eval, file eval.cpp, line 42.",
        source="assert(3), Metal validation",
        native=True,
        fallback=True,
        strength=Strength.CRASH,
    ),
    Signature(
        id="abort.objective_c",
        cause=Cause.ABORT_OTHER,
        keyword="Terminating app",
        pattern=r"Terminating app due to uncaught exception '(?P<name>\w+)'",
        message="was ended by an uncaught Objective-C exception, {name}",
        example="*** Terminating app due to uncaught exception 'NSRangeException', reason: 'index 0 beyond bounds'",
        source="macOS Foundation",
        native=True,
        strength=Strength.CRASH,
    ),
    Signature(
        id="abort.swift",
        cause=Cause.ABORT_OTHER,
        keyword="Fatal error: ",
        pattern=r"[\w/.+-]{0,120}\.swift:\d+: Fatal error: ",
        message="was ended by a fatal error in Swift code",
        example="MLX/ErrorHandler.swift:343: Fatal error: [matmul] shapes do not fit",
        source="Swift runtime",
        native=True,
        strength=Strength.CRASH,
    ),
    Signature(
        id="abort.rust",
        cause=Cause.ABORT_OTHER,
        keyword="panic",
        pattern=r"caused by panic|panic in a (?:function that cannot unwind|destructor during cleanup)",
        message="aborted after a panic in Rust code",
        example="thread caused non-unwinding panic. aborting; caused by panic in a destructor during cleanup",
        source="Rust runtime",
        native=True,
        strength=Strength.CRASH,
    ),
    Signature(
        id="abort.go",
        cause=Cause.ABORT_OTHER,
        keyword="panic: ",
        pattern=r"(?:^|[\s\]])panic: (?P<text>.{1,160})",
        message="was ended by a panic of Go code; it said: {text}",
        example="panic: mlx: There is no Stream(gpu, 1) in current thread.",
        source="Go runtime",
        native=True,
        fallback=True,
        strength=Strength.CRASH,
    ),
    *(
        Signature(
            id=f"go.{name}",
            cause=cause,
            keyword=f"{signal}: ",
            pattern=rf"(?:^|\[signal ){signal}: {words}",
            message=message,
            example=f"{signal}: {words}",
            source="Go runtime",
            native=True,
            strength=Strength.CRASH,
        )
        for name, signal, words, cause, message in (
            ("segfault", "SIGSEGV", "segmentation violation", Cause.SEGFAULT, "crashed with a segmentation fault"),
            ("bus_error", "SIGBUS", "bus error", Cause.BUS_ERROR, "crashed with a bus error"),
            ("aborted", "SIGABRT", "abort", Cause.ABORT_OTHER, "aborted itself"),
        )
    ),
    Signature(
        id="abort.libcxxabi",
        cause=Cause.ABORT_OTHER,
        keyword="libc++abi",
        pattern=r"libc\+\+abi(?:\.dylib)?: terminat\w+ (?P<text>(?:due to|with|called)\b.{0,200})",
        message="was ended by an uncaught C++ exception; libc++abi says: terminating {text}",
        example="libc++abi: terminating due to uncaught exception of type std::runtime_error: something new",
        source="macOS libc++abi",
        native=True,
        fallback=True,
        strength=Strength.CRASH,
    ),
    Signature(
        id="abort.libstdcxx",
        cause=Cause.ABORT_OTHER,
        keyword="terminate called",
        pattern=r"terminate called (?P<text>after throwing.{0,200})",
        message="was ended by an uncaught C++ exception; libstdc++ says: terminate called {text}",
        example="terminate called after throwing an instance of 'std::runtime_error'",
        source="Linux libstdc++",
        native=True,
        fallback=True,
        strength=Strength.CRASH,
    ),
    Signature(
        id="abort.no_exception",
        cause=Cause.ABORT_OTHER,
        keyword="terminat",
        pattern=r"libc\+\+abi(?:\.dylib)?: terminating$|terminate called (?:without an active|recursively)",
        message="was ended by the C++ runtime, without an exception that it knew",
        example="terminate called without an active exception",
        source="libc++abi of macOS, libstdc++ of Linux; what happens when threads are left behind at the end",
        native=True,
        fallback=True,
        strength=Strength.GENERIC,
    ),
)
