"""Makes a small qwen2 with random weights and a byte-level tokenizer: real loading, real shards, meaningless text."""

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
CONTEXT_TOKENS = 512
EOS = "<|im_end|>"


def build(folder: Path, *, layers: int = 4, hidden: int = 64, seed: int = 7) -> Path:
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
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the runner and the ring", "one rank two ranks", "token by token"], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    vocabulary = 384
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": EOS,
        "pad_token": "<|endoftext|>",
        "chat_template": TEMPLATE,
        "model_max_length": CONTEXT_TOKENS,
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
        "max_position_embeddings": CONTEXT_TOKENS,
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
