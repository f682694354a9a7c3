"""The tokenizer: a byte-level BPE whose merges come from the corpus, with the ChatML markers as special tokens.

transformers reads the folder as `Qwen2Tokenizer`, whatever tokenizer.json says about splitting, because that is the
class of the model type. So the splitting rules are taken from that class, and training and serving agree.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer

from .corpus import Corpus
from .recipe import Recipe

PADDING = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
SPECIAL_TOKENS = (PADDING, TURN_START, TURN_END)
PADDING_ID, TURN_START_ID, TURN_END_ID = range(3)

CHAT_TEMPLATE = """\
{%- for message in messages %}
    {%- if message.role not in ['system', 'user', 'assistant', 'tool'] %}
        {{- raise_exception("The role of a message is system, user, assistant or tool, not '" ~ message.role ~ "'.") }}
    {%- endif %}
    {{- '<|im_start|>' ~ message.role ~ '\\n' }}
    {%- if message.content is string %}
        {{- message.content }}
    {%- elif message.content %}
        {%- for part in message.content %}
            {%- if part.type != 'text' %}
                {{- raise_exception("tiny reads text only, not a part of type '" ~ part.type ~ "'.") }}
            {%- endif %}
            {{- part.text }}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""


def train_tokenizer(corpus: Corpus, recipe: Recipe) -> Tokenizer:
    """Learn the merges. The byte alphabet is complete, so any input text can be encoded."""
    tokenizer = Tokenizer(models.BPE())
    served_as = Qwen2Tokenizer().backend_tokenizer
    tokenizer.normalizer = served_as.normalizer
    tokenizer.pre_tokenizer = served_as.pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary_size,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    roles = ["system\n", "user\n", "assistant\n"]
    tokenizer.train_from_iterator([*roles, *corpus.texts()], trainer)
    return tokenizer


def write_tokenizer(tokenizer: Tokenizer, recipe: Recipe, folder: Path) -> None:
    """Write `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja`."""
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "Qwen2Tokenizer",
        "model_max_length": recipe.context_tokens,
        "eos_token": TURN_END,
        "pad_token": PADDING,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
