"""Makes a small qwen2 with random weights and a byte-level tokenizer: real loading, real shards, meaningless text.

With `tools=True` its chat template and tokenizer are like those of models that think and call tools, and its context is
long enough for their descriptions; with `tests.faults.echo` as its engine it writes what a test wants it to.
"""

import json
from pathlib import Path

TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['content'] == 'explode' %}{{ raise_exception('this template explodes') }}{% endif %}"
    "{% if message['content'] == 'divide' %}{{ 1 // 0 }}{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TOOL_TEMPLATE = (
    "{% if tools %}<|im_start|>system\nTools:"
    "{% for tool in tools %}\n{{ tool | tojson }}{% endfor %}<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message.reasoning_content %}<think>\n{{ message.reasoning_content }}\n</think>\n{% endif %}"
    "{{ message['content'] }}"
    "{% for tool_call in message.tool_calls or [] %}\n<tool_call>\n"
    "{% if tool_call.function %}{% set tool_call = tool_call.function %}{% endif %}"
    '{"name": "{{ tool_call.name }}", "arguments": {{ tool_call.arguments | tojson }}}\n</tool_call>{% endfor %}'
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% if open_thinking %}<think>\n{% endif %}{% endif %}"
)
CONTEXT_TOKENS = 512
TOOL_CONTEXT_TOKENS = 4096
EOS = "<|im_end|>"
TOOL_MARKS = ["<think>", "</think>", "<tool_call>", "</tool_call>"]


def build(folder: Path, *, layers: int = 4, hidden: int = 64, seed: int = 7, tools: bool = False) -> Path:
    """Write the model into a folder and return it."""
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_lm.models import qwen2
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", EOS]
    context_tokens = TOOL_CONTEXT_TOKENS if tools else CONTEXT_TOKENS
    trainer = trainers.BpeTrainer(
        vocab_size=370 if tools else 320,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = ["the runner and the ring", "one rank two ranks", "token by token"]
    tokenizer.train_from_iterator(['{"name": "weather", "arguments": {"city": "'] * 9 if tools else texts, trainer)
    if tools:
        # As Qwen's: tokens of their own, but not special ones, so that they are part of the text.
        tokenizer.add_tokens(TOOL_MARKS)
    tokenizer.save(str(folder / "tokenizer.json"))
    vocabulary = 384
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": EOS,
        "pad_token": "<|endoftext|>",
        "chat_template": TOOL_TEMPLATE if tools else TEMPLATE,
        "model_max_length": context_tokens,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config))
    config = {
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": 2 * hidden,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "rms_norm_eps": 1e-6,
        "vocab_size": vocabulary,
        "max_position_embeddings": context_tokens,
        "tie_word_embeddings": False,
        "eos_token_id": tokenizer.token_to_id(EOS),
    }
    (folder / "config.json").write_text(json.dumps(config))
    mx.random.seed(seed)
    model = qwen2.Model(qwen2.ModelArgs.from_dict(config))
    weights = {
        name: mx.random.normal(value.shape) * (0.3 if value.ndim > 1 else 0.1) + (0 if value.ndim > 1 else 1)
        for name, value in tree_flatten(model.parameters())
    }
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    return folder
