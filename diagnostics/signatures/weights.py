"""Weight files: absent, not fitting the architecture, damaged."""

from diagnostics.cause import Cause
from diagnostics.signature import Fault, Signature

_NN = "MLX nn/layers/base.py"
_LM = "mlx-lm utils.py"
_SAFETENSORS = "MLX io/safetensors.cpp"

WEIGHTS: tuple[Signature, ...] = (
    Signature(
        id="load.missing_parameters",
        cause=Cause.MODEL_LOAD_MISSING_WEIGHTS,
        keyword="Missing ",
        pattern=r"Missing (?P<count>\d+ )?parameters: ?",
        message="could not load the model; its files lack parameters that the architecture needs",
        example="ValueError: Missing 2 parameters: ",
        source=_NN,
        since="0.0.7",
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="load.extra_parameters",
        cause=Cause.MODEL_LOAD_MISSING_WEIGHTS,
        keyword="not in model",
        pattern=r"Received (?:\d+ )?parameters not in model",
        message="could not load the model; its files hold parameters that the architecture does not have",
        example="ValueError: Received 2 parameters not in model: ",
        source=_NN,
        since="0.0.7",
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="load.shape",
        cause=Cause.MODEL_LOAD_MISSING_WEIGHTS,
        keyword="but received",
        pattern=r"Expected (?:shape|mx\.array)\b.{0,60}but received .{1,80}for parameter (?P<parameter>\S+)",
        message="could not load the model; parameter {parameter} has another shape than the architecture",
        example="ValueError: Expected shape (128, 16) but received shape (128, 8) for parameter model.norm.weight",
        source=_NN,
        since="0.0.7",
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="load.no_weights",
        cause=Cause.MODEL_LOAD_MISSING_WEIGHTS,
        keyword="o safetensors",
        pattern=r"No safetensors (?:files? )?found\b",
        message="could not load the model; its folder has no weight files",
        example="FileNotFoundError: No safetensors found in /models/empty",
        source=_LM,
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="load.file_absent",
        cause=Cause.MODEL_LOAD_MISSING_WEIGHTS,
        keyword="No such file",
        pattern=r"No such file or directory: ?'?[^']*"
        r"(?:\.safetensors|\.gguf|\.npz|(?<!tokenizer_)config\.json|\.index\.json)",
        message="could not load the model; one of its files is absent",
        example="FileNotFoundError: [Errno 2] No such file or directory: '/models/m/config.json'",
        source=_LM,
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="load.open",
        cause=Cause.MODEL_LOAD_MISSING_WEIGHTS,
        keyword="ailed to open",
        pattern=r"\[load(?:_\w+)?\] ?Failed to open",
        message="could not load the model; a weight file cannot be opened",
        example="RuntimeError: [load_safetensors] Failed to open file /models/m/model-00001-of-00002.safetensors",
        source=_SAFETENSORS,
        since="0.0.7",
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="load.pipeline_layers",
        cause=Cause.MODEL_LOAD_MISSING_WEIGHTS,
        keyword="no weights for layers",
        pattern=r"checkpoint has no weights for layers",
        message="could not load its part of the model; the files lack whole layers",
        example="ValueError: The checkpoint has no weights for layers [3, 4]. Convert "
        "the model with mlx_lm.convert first.",
        source=_LM,
        since="mlx-lm 0.32",
        fault=Fault.CONFIGURATION,
    ),
)

CORRUPT: tuple[Signature, ...] = (
    Signature(
        id="load.incomplete",
        cause=Cause.MODEL_LOAD_CORRUPT,
        keyword="corrupt file",
        pattern=r"(?:\[\w+\] .{0,300})?Perhaps an incomplete download or corrupt file",
        message="could not load the model; a weight file is cut short or corrupt",
        example="RuntimeError: [load_safetensors] Tensor 'w' invalid data offsets (0, 64) exceeding the size of the "
        "file. Perhaps an incomplete download or corrupt file?",
        source=_SAFETENSORS,
        since="0.31.2",
    ),
    Signature(
        id="load.safetensors",
        cause=Cause.MODEL_LOAD_CORRUPT,
        keyword="load_safetensors]",
        pattern=r"load_safetensors\] ?(?:Invalid json|The JSON header"
        r"|Tensor '.{0,200}(?:invalid data offsets|data_offsets))",
        message="could not load the model; the header of a weight file is not valid",
        example="RuntimeError: [load_safetensors] Invalid json header length file /models/m/model.safetensors",
        source=_SAFETENSORS,
        since="0.0.7",
    ),
    Signature(
        id="load.rust_safetensors",
        cause=Cause.MODEL_LOAD_CORRUPT,
        keyword="rror while deserializing",
        pattern=r"Error while deserializing(?: header)?",
        message="could not load the model; a weight file is not valid safetensors",
        example="safetensors_rust.SafetensorError: Error while deserializing header: header too large",
        source="safetensors (Rust)",
    ),
    Signature(
        id="load.read",
        cause=Cause.MODEL_LOAD_CORRUPT,
        keyword="[read]",
        pattern=r"\[read\] ?Unable to read (?:\d+ bytes )?from file",
        message="could not load the model; a weight file ended too early or the disk cannot be read",
        example="RuntimeError: [read] Unable to read 8 bytes from file.",
        source="MLX io/load.h",
        since="0.17.0",
    ),
    Signature(
        id="load.array_file",
        cause=Cause.MODEL_LOAD_CORRUPT,
        keyword="[load",
        pattern=r"\[load(?:_\w+)?\] ?(?:Invalid header|Unsupported npy|Unknown error while parsing|Negative dimension"
        r"|Shape is too large|Input must be a zip|gguf_init failed|Could not infer file format|Unknown file format)",
        message="could not load the model; a weight file has no format that MLX reads",
        example="RuntimeError: [load_gguf] gguf_init failed",
        source="MLX io/load.cpp, io/gguf.cpp",
        since="0.0.2",
    ),
    Signature(
        id="load.header_json",
        cause=Cause.MODEL_LOAD_CORRUPT,
        keyword="[json.exception",
        pattern=r"\[json\.exception\.\w+\.\d+\]",
        message="could not load the model; the JSON header of a weight file is not valid",
        example="RuntimeError: [json.exception.out_of_range.403] key 'shape' not found",
        source="nlohmann json inside MLX io/safetensors.cpp",
        since="0.0.7",
    ),
    Signature(
        id="load.config_json",
        cause=Cause.MODEL_LOAD_CORRUPT,
        keyword="JSONDecodeError",
        pattern=r"JSONDecodeError: ",
        message="could not load the model; one of its JSON files is not valid JSON",
        example="json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
        source="CPython json, raised while a model file is read",
        context=r"\A(?![\s\S]*(?:tokenizer_utils|tokenization_\w*)\.py\")[\s\S]*?"
        r"(?:json/__init__\.py\", line \d+, in load\b(?!s)|load_config|config\.json|index\.json)",
    ),
    Signature(
        id="load.torch_file",
        cause=Cause.MODEL_LOAD_CORRUPT,
        keyword="failed finding central directory",
        pattern=r"failed finding central directory",
        message="could not load the model; a weight file is cut short or corrupt",
        example="RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory",
        source="PyTorch",
    ),
    Signature(
        id="load.torch_magic",
        cause=Cause.MODEL_LOAD_CORRUPT,
        keyword="nvalid magic number",
        pattern=r"[Ii]nvalid magic number; corrupt file",
        message="could not load the model; a weight file is not what its name says",
        example="RuntimeError: Invalid magic number; corrupt file?",
        source="PyTorch",
    ),
)
