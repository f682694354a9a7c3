"""Models that this version cannot run, and tokenizers that fail."""

from diagnostics.cause import Cause
from diagnostics.signature import Fault, Signature, Strength

_LM = "mlx-lm utils.py"

UNSUPPORTED: tuple[Signature, ...] = (
    Signature(
        id="load.model_type",
        cause=Cause.MODEL_UNSUPPORTED,
        keyword="odel type",
        pattern=r"Model type (?P<type>\S+) (?:is )?not supported"
        r"|model type `(?P<other>[^`]+)` but Transformers does not",
        message="could not load the model; this version does not know its architecture",
        example="ValueError: Model type superllama not supported.",
        source="mlx-lm, mlx-vlm, transformers",
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="load.config_incomplete",
        cause=Cause.MODEL_UNSUPPORTED,
        keyword="rror: ",
        pattern=r"KeyError: '(?:model_type|quant_method)'|(?:ModelArgs|TextConfig|ModelConfig)\.__init__\(\) missing",
        message="could not load the model; its config.json lacks what this version needs",
        example="KeyError: 'model_type'",
        source=_LM,
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="load.parallel_unsupported",
        cause=Cause.MODEL_UNSUPPORTED,
        keyword="support",
        pattern=r"model does not support (?:pipelining|tensor parallelism|any sharding)"
        r"|Pipeline loading is only supported|adapters or draft models not supported in distributed",
        message="could not load the model; its architecture cannot be split this way",
        example="ValueError: The model does not support tensor parallelism but a tensor_group was provided",
        source=_LM,
        since="mlx-lm 0.28.4",
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="load.shard_divisible",
        cause=Cause.MODEL_UNSUPPORTED,
        keyword="shard",
        pattern=r"Cannot shard the output of size \d+ across|input of size \d+ cannot be sharded",
        message="could not load its part of the model; the layers do not divide by the number of ranks",
        example="ValueError: Cannot shard the output of size 6 across 4 devices.",
        source="MLX nn/layers/distributed.py",
        since="0.24.1",
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="load.pipeline_split",
        cause=Cause.MODEL_UNSUPPORTED,
        keyword="split ",
        pattern=r"split has \d+ entries for group size|split \[.{0,200}must be positive and sum to",
        message="could not load its part of the model; the pipeline split does not fit the layers",
        example="ValueError: split has 3 entries for group size 2",
        source=_LM,
        since="mlx-lm 0.32",
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="load.custom_code",
        cause=Cause.MODEL_UNSUPPORTED,
        keyword="trust_remote_code",
        pattern=r"trust_remote_code=True",
        message="could not load the model; it needs code of its own, and running that is switched off",
        example="ValueError: The model at /m requires importing and running a custom module (m.py) to build its "
        "architecture. This is disabled by default. Pass trust_remote_code=True if you trust this model.",
        source=_LM,
        since="mlx-lm 0.32",
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="load.quantization",
        cause=Cause.MODEL_UNSUPPORTED,
        keyword="support",
        pattern=r"unsupported compressed-tensors format|Unsupported modelopt|is supported for AutoAWQ"
        r"|non-contiguous group indices|\[safetensor\] ?unsupported dtype|Unsupported RoPE type",
        message="could not load the model; its weights use a format that this version cannot read",
        example="RuntimeError: [safetensor] unsupported dtype F8_E5M2",
        source="MLX io/safetensors.cpp, mlx-lm",
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="load.quantization_inferred",
        cause=Cause.MODEL_UNSUPPORTED,
        keyword="quantization mode",
        pattern=r"Cannot infer the quantization mode",
        message="could not load the model; how it was quantized cannot be told from its weights",
        example="ValueError: Cannot infer the quantization mode of lm_head: 9 bits with group size 7.",
        source=_LM,
        since="mlx-lm 0.32",
        fault=Fault.CONFIGURATION,
    ),
)

TOKENIZER: tuple[Signature, ...] = (
    Signature(
        id="tokenizer.load",
        cause=Cause.TOKENIZER_ERROR,
        keyword="okenizer",
        pattern=r"Couldn't instantiate the backend tokenizer|Can't load tokenizer for"
        r"|Tokenizer class \S+ does not exist"
        r"|Failed to parse tokenizer\.json|\w{0,60}Tokenizer(?:Fast)?'? (?:object )?has no attribute"
        r"|tokenizer_config\.json'"
        r"|directory: ?'[^']*tokenizer[^']*'|is not a token for this tokenizer"
        r"|tokenizer does not match model tokenizer",
        message="could not load the tokenizer",
        example="ValueError: Couldn't instantiate the backend tokenizer from one of: ",
        source="transformers, mlx-lm",
        fatal=False,
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="tokenizer.untagged",
        cause=Cause.TOKENIZER_ERROR,
        keyword="untagged enum",
        pattern=r"did not match any variant of untagged enum \w+",
        message="could not load the tokenizer; tokenizer.json is damaged or made by a newer version",
        example="Exception: data did not match any variant of untagged enum ModelWrapper at line 12 column 3",
        source="tokenizers (Rust)",
        fatal=False,
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="tokenizer.template",
        cause=Cause.TOKENIZER_ERROR,
        keyword="emplate",
        pattern=r"jinja\d\.exceptions\.\w+|chat_template is not set|TemplateSyntaxError|TemplateError: ",
        message="could not render the chat template",
        example="jinja2.exceptions.TemplateError: Conversation roles must alternate user/assistant",
        source="jinja2, transformers",
        fatal=False,
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="tokenizer.jinja_undefined",
        cause=Cause.TOKENIZER_ERROR,
        keyword="jinja2.exceptions",
        pattern=r"jinja2\.exceptions\.\w+",
        message="could not render the chat template",
        example="jinja2.exceptions.UndefinedError: 'messages' is undefined",
        source="jinja2",
        fatal=False,
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="tokenizer.raised",
        cause=Cause.TOKENIZER_ERROR,
        keyword="rror",
        pattern=r"^(?:json\.decoder\.)?(?:AttributeError|TypeError|KeyError|IndexError|ValueError|ImportError|JSONDecodeError"
        r"|FileNotFoundError|UnicodeDecodeError|RuntimeError|AssertionError|OSError|NotImplementedError)\b",
        message="could not load or use the tokenizer",
        example="AttributeError: 'NoneType' object has no attribute 'endswith'",
        source="transformers, mlx-lm: raised inside the tokenizer's own modules",
        fatal=False,
        strength=Strength.CRASH,
        fault=Fault.CONFIGURATION,
        context=r"(?:tokenization_\w*|convert_slow_tokenizer|tokenizer_utils|chat_template_utils|tiktoken/\w+"
        r"|sentencepiece/\w+)\.py\"",
    ),
)
