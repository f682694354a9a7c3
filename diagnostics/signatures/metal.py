"""Metal and MLX's allocators: texts of macOS behind MLX's prefix, and MLX's own limits."""

from diagnostics.cause import Cause
from diagnostics.signature import Fault, Signature

# MLX up to 0.31.2 lets these end the process through libc++abi; from 0.32.0 on they are RuntimeErrors.
_SOURCE = "MLX metal/device.cpp; text and code from macOS (IOGPU)"
_FAILED = r"(?:(?:\[METAL\] ?)?Command buffer execution failed|Execution of the command buffer was aborted)\b.{0,160}?"


def _command_buffer(  # noqa: PLR0917 - one row of a table
    name: str, code: str, text: str, callback: str, cause: Cause, message: str, fault: Fault, example: str
) -> Signature:
    return Signature(
        id=f"metal.{name}",
        cause=cause,
        keyword="ommand buffer",
        pattern=rf"{_FAILED}(?:{text}|\(0*{code}:|Callback\s?Error\s?{callback}\b)",
        message=message,
        example=f"[METAL] Command buffer execution failed: {example}",
        source=_SOURCE,
        since="0.0.10",
        native=True,
        fault=fault,
    )


def _bare_code(  # noqa: PLR0917 - one row of a table
    name: str, code: str, callback: str, cause: Cause, message: str, fault: Fault
) -> Signature:
    """The same error where MLX's prefix was cut off or swallowed: Apple's code in brackets is enough."""
    return Signature(
        id=f"metal.{name}_code",
        cause=cause,
        keyword="CallbackError",
        pattern=rf"\((?:0*{code}:)?kIO(?:GPU|Accel)CommandBufferCallbackError{callback}\)",
        message=message,
        example=f"({code.zfill(8)}:kIOGPUCommandBufferCallbackError{callback})",
        source=_SOURCE,
        native=True,
        fault=fault,
    )


_ROWS = (
    (
        "gpu_timeout",
        "2",
        "Caused GPU Timeout",
        "Timeout",
        Cause.METAL_GPU_TIMEOUT,
        "had its GPU work stopped by macOS because it took too long",
        Fault.UNKNOWN,
        "Caused GPU Timeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout)",
    ),
    (
        "out_of_memory",
        "8",
        "Insufficient Memory|IOAF code -536870211",
        "OutOfMemory",
        Cause.METAL_OUT_OF_MEMORY,
        "ran out of GPU memory",
        Fault.RESOURCE,
        "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
    ),
    (
        "gpu_hang",
        "3",
        "Caused GPU Hang",
        "Hang",
        Cause.METAL_COMMAND_BUFFER_OTHER,
        "hung its GPU: macOS reset it",
        Fault.THIS_RANK,
        "Caused GPU Hang Error (00000003:kIOGPUCommandBufferCallbackErrorHang)",
    ),
    (
        "submissions_ignored",
        "4",
        r"Ignored \(for causing prior",
        "SubmissionsIgnored",
        Cause.METAL_COMMAND_BUFFER_OTHER,
        "may not use the GPU any more; macOS ignores its work after earlier GPU errors",
        Fault.THIS_RANK,
        "Ignored (for causing prior/excessive GPU errors) "
        "(00000004:kIOGPUCommandBufferCallbackErrorSubmissionsIgnored)",
    ),
    (
        "innocent_victim",
        "5",
        r"Discarded \(victim of GPU",
        "InnocentVictim",
        Cause.METAL_COMMAND_BUFFER_OTHER,
        "lost its GPU work; macOS reset the GPU because of another process",
        Fault.UNKNOWN,
        "Discarded (victim of GPU error/recovery) (00000005:kIOGPUCommandBufferCallbackErrorInnocentVictim)",
    ),
    (
        "background",
        "6",
        "Insufficient Permission",
        "BackgroundExecutionNotPermitted",
        Cause.METAL_COMMAND_BUFFER_OTHER,
        "may not use the GPU from the background",
        Fault.CONFIGURATION,
        "Insufficient Permission (to submit GPU work from background) "
        "(00000006:kIOGPUCommandBufferCallbackErrorBackgroundExecutionNotPermitted)",
    ),
    (
        "invalid_resource",
        "9",
        "Invalid Resource",
        "InvalidResource",
        Cause.METAL_COMMAND_BUFFER_OTHER,
        "gave the GPU a resource that is not valid",
        Fault.THIS_RANK,
        "Invalid Resource (00000009:kIOGPUCommandBufferCallbackErrorInvalidResource)",
    ),
    (
        "page_fault",
        "b",
        "Caused GPU Address Fault",
        "PageFault",
        Cause.METAL_COMMAND_BUFFER_OTHER,
        "made the GPU read or write outside of its memory",
        Fault.THIS_RANK,
        "Caused GPU Address Fault Error (0000000b:kIOGPUCommandBufferCallbackErrorPageFault)",
    ),
    (
        "interactivity",
        "e",
        "Impacting Interactivity",
        "ImpactingInteractivity",
        Cause.METAL_COMMAND_BUFFER_OTHER,
        "kept the GPU from drawing the screen for too long, so macOS stopped its work",
        Fault.THIS_RANK,
        "Impacting Interactivity (0000000e:kIOGPUCommandBufferCallbackErrorImpactingInteractivity)",
    ),
)

METAL: tuple[Signature, ...] = (
    *(_command_buffer(*row) for row in _ROWS),
    *(
        _bare_code(name, code, callback, cause, message, fault)
        for name, code, _, callback, cause, message, fault, _ in _ROWS
    ),
    Signature(
        id="metal.command_buffer",
        cause=Cause.METAL_COMMAND_BUFFER_OTHER,
        keyword="ommand buffer",
        pattern=r"(?:\[METAL\] ?)?Command buffer execution failed\b(?:: *(?P<text>\S.{0,120}))?",
        message="had its GPU work refused by Metal",
        example="[METAL] Command buffer execution failed: Internal Error (IOAF code 1)",
        source=_SOURCE,
        since="0.0.10",
        native=True,
        fallback=True,
        fault=Fault.UNKNOWN,
    ),
    Signature(
        id="metal.encoder_assertion",
        cause=Cause.METAL_COMMAND_BUFFER_OTHER,
        keyword="failed assertion",
        pattern=r"(?:IOGPU|AGX|MTL)\w*(?:Command(?:Buffer|Queue)|Encoder|Context)\b.{0,100}failed assertion"
        r"|failed assertion\b.{0,160}?(?:[Cc]ommand [Bb]uffer|[Cc]ommand [Ee]ncoder"
        r"|Command(?:Buffer|Encoder)|[Cc]ompleted handler)",
        message="broke a rule of Metal's command buffers and was aborted",
        example="-[IOGPUMetalCommandBuffer validate]:214: failed assertion "
        "`commit an already committed command buffer'",
        source="macOS Metal framework",
        native=True,
    ),
    Signature(
        id="metal.malloc_limit",
        cause=Cause.METAL_MALLOC_LIMIT,
        keyword="ttempting to allocate",
        pattern=r"(?:\[metal::malloc\] ?)?[Aa]ttempting to allocate (?P<bytes>\d+)\s*(?:bytes|$)"
        r"(?:.{0,40}greater\b.{0,60}?(?P<limit>\d+) bytes)?",
        message="asked for one buffer of {bytes} bytes, more than Metal allows",
        example="[metal::malloc] Attempting to allocate 135433060352 bytes which is greater than the maximum allowed "
        "buffer size of 86586540032 bytes.",
        source="MLX metal/allocator.cpp",
        since="0.12.1",
        fault=Fault.RESOURCE,
    ),
    Signature(
        id="metal.malloc_unable",
        cause=Cause.METAL_MALLOC_LIMIT,
        keyword="Unable to allocate",
        pattern=r"\[malloc\w*\] ?Unable to allocate (?P<bytes>\d+)\s*(?:bytes|$)",
        message="could not allocate {bytes} bytes",
        example="[malloc] Unable to allocate 8589934592 bytes.",
        source="MLX allocator.h",
        since="0.0.2",
        fault=Fault.RESOURCE,
    ),
    Signature(
        id="metal.resource_limit",
        cause=Cause.METAL_RESOURCE_LIMIT,
        keyword="esource limit",
        pattern=r"(?:\[metal::malloc\] ?)?Resource limit \((?P<limit>\d+)\) exceeded",
        message="holds more than the {limit} GPU buffers that Metal allows one process",
        example="[metal::malloc] Resource limit (499000) exceeded.",
        source="MLX metal/allocator.cpp",
        since="0.22.0",
        fault=Fault.RESOURCE,
    ),
)
