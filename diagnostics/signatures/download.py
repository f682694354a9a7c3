"""Getting a model onto this disk: the hub, the network, the space."""

from diagnostics.cause import Cause
from diagnostics.signature import Fault, Signature

_HUB = "huggingface_hub"

DOWNLOAD: tuple[Signature, ...] = (
    Signature(
        id="download.offline",
        cause=Cause.DOWNLOAD_FAILED,
        keyword="ffline",
        pattern=r"(?:huggingface_hub\.errors\.)?OfflineModeIsEnabled|offline mode is enabled",
        message="could not get the model; it is not on this disk and going online is switched off",
        example="huggingface_hub.errors.OfflineModeIsEnabled: Cannot reach https://huggingface.co: "
        "offline mode is enabled.",
        source=_HUB,
        fatal=False,
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="download.hub",
        cause=Cause.DOWNLOAD_FAILED,
        keyword="rror",
        pattern=r"(?:RepositoryNotFound|GatedRepo|RevisionNotFound|EntryNotFound"
        r"|HfHubHTTP|HFValidation|DisabledRepo|LocalTokenNotFound|FileMetadata)Error\b"
        r"|\bhuggingface_hub\.errors\.(?!CacheNotFound)\w+",
        message="could not get the model from the Hugging Face hub",
        example="huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error.",
        source=_HUB,
        fatal=False,
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="download.cached",
        cause=Cause.DOWNLOAD_FAILED,
        keyword="couldn't connect to",
        pattern=r"couldn't connect to 'https?://|We couldn't connect to",
        message="could not reach the Hugging Face hub",
        example="OSError: We couldn't connect to 'https://huggingface.co' to load the files",
        source="transformers",
        fatal=False,
        fault=Fault.NETWORK,
    ),
    Signature(
        id="download.http",
        cause=Cause.DOWNLOAD_FAILED,
        keyword="rror: ",
        pattern=r"\b(?:httpx\d?|httpcore\d?|requests\.exceptions|urllib3\.exceptions|aiohttp\.\w+)\.\w+Error: "
        r"|urllib\.error\.\w*Error: ",
        message="could not download; the connection failed",
        example="httpx.ConnectError: [Errno 61] Connection refused",
        source="httpx, requests, urllib3, aiohttp",
        fatal=False,
        fault=Fault.NETWORK,
    ),
    Signature(
        id="download.http_timeout",
        cause=Cause.DOWNLOAD_FAILED,
        keyword="Timeout: ",
        pattern=r"\b(?:httpx\d?|httpcore\d?|requests\.exceptions)\.(?:Connect|Read|Write|Pool)?Timeout: ",
        message="could not download; the server took too long",
        example="httpx.ReadTimeout: The read operation timed out",
        source="httpx, requests",
        fatal=False,
        fault=Fault.NETWORK,
    ),
    Signature(
        id="download.connection_pool",
        cause=Cause.DOWNLOAD_FAILED,
        keyword="Max retries exceeded",
        pattern=r"Max retries exceeded with url",
        message="could not download; the server cannot be reached",
        example="HTTPSConnectionPool(host='huggingface.co', port=443): Max retries exceeded with url: /api/models/m",
        source="urllib3",
        fatal=False,
        fault=Fault.NETWORK,
    ),
    Signature(
        id="download.content",
        cause=Cause.DOWNLOAD_FAILED,
        keyword="rror",
        pattern=r"Consistency check failed: file should be|CAS service error"
        r"|Data processing error: \w+|hf_xet\.\w*Error",
        message="could not download; what arrived is not the file that was asked for",
        example="OSError: Consistency check failed: file should be of size 100 but has size 50 (model.safetensors).",
        source=_HUB,
        fatal=False,
        fault=Fault.NETWORK,
    ),
)

DISK: tuple[Signature, ...] = (
    Signature(
        id="disk.full",
        cause=Cause.DISK_FULL,
        keyword="o space left on device",
        pattern=r"[Nn]o space left on device",
        message="ran out of disk space",
        example="OSError: [Errno 28] No space left on device",
        source="ENOSPC",
        fault=Fault.RESOURCE,
    ),
    Signature(
        id="disk.quota",
        cause=Cause.DISK_FULL,
        keyword="uota exceeded",
        pattern=r"Dis[ck] quota exceeded",
        message="used up its disk quota",
        example="OSError: [Errno 69] Disc quota exceeded",
        source="EDQUOT",
        fault=Fault.RESOURCE,
    ),
    Signature(
        id="disk.write",
        cause=Cause.DISK_FULL,
        keyword="[write]",
        pattern=r"\[write\] ?Unable to write \d+ bytes to file",
        message="could not write to the disk",
        example="RuntimeError: [write] Unable to write 4096 bytes to file.",
        source="MLX io/load.h",
        since="0.17.0",
        fault=Fault.RESOURCE,
    ),
    Signature(
        id="disk.too_small",
        cause=Cause.DISK_FULL,
        keyword="disk",
        pattern=r"(?i:\b\w{0,60}(?:Error|Exception): .{0,80}?"
        r"(?:insufficient|not enough) (?:free )?(?:disk\b|space on disk))",
        message="was refused; the disk has too little free space",
        example="RuntimeError: Insufficient disk space: need 65 GB, have 55 GB",
        source="programs that look before they write",
        fault=Fault.RESOURCE,
    ),
)
