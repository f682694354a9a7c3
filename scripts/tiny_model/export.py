"""Writes the model folder in mlx-lm's format."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file
from tokenizers import Tokenizer

from .corpus import Corpus
from .network import Parameters
from .recipe import Recipe
from .tokenizer import PADDING_ID, TURN_END_ID, write_tokenizer

WEIGHTS = "model.safetensors"
BUILD_RECORD = "ringwarden_build.json"


def write_model(folder: Path, corpus: Corpus, recipe: Recipe, tokenizer: Tokenizer, parameters: Parameters) -> None:
    """Write every file of the model; the same input gives the same bytes.

    Args:
        folder: Made when missing; files of the same names are replaced.
        corpus: Only its digest is written.
        recipe: Shape, and what the build record says.
        tokenizer: From `train_tokenizer`.
        parameters: From `train`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_file(parameters, folder / WEIGHTS, metadata={"format": "mlx"})
    # save_file leaves it readable to its owner only.
    (folder / WEIGHTS).chmod(0o644)
    index = {
        "metadata": {"total_size": sum(value.nbytes for value in parameters.values())},
        "weight_map": dict.fromkeys(sorted(parameters), WEIGHTS),
    }
    _write_json(folder / f"{WEIGHTS}.index.json", index)
    _write_json(folder / "config.json", _config(recipe))
    _write_json(folder / "generation_config.json", {"eos_token_id": [TURN_END_ID], "pad_token_id": PADDING_ID})
    write_tokenizer(tokenizer, recipe, folder)
    _write_json(folder / BUILD_RECORD, build_record(corpus, recipe))


def build_record(corpus: Corpus, recipe: Recipe) -> dict[str, str]:
    """By what a model is known to be stale: the digests of its text and of its recipe."""
    numbers = json.dumps(asdict(recipe), sort_keys=True)
    return {"corpus_sha256": corpus.digest, "recipe_sha256": hashlib.sha256(numbers.encode()).hexdigest()}


def _config(recipe: Recipe) -> dict[str, Any]:
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": recipe.hidden_size,
        "intermediate_size": recipe.intermediate_size,
        "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.heads,
        "num_key_value_heads": recipe.heads,
        "vocab_size": recipe.vocabulary_size,
        "max_position_embeddings": recipe.context_tokens,
        "rope_theta": recipe.rope_base,
        "rms_norm_eps": recipe.norm_epsilon,
        "tie_word_embeddings": True,
        "hidden_act": "silu",
        "dtype": "float32",
        "bos_token_id": None,
        "eos_token_id": TURN_END_ID,
        "pad_token_id": PADDING_ID,
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n")
