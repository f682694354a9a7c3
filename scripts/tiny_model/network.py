"""The qwen2 network in numpy, forward and backward.

mlx-lm's own qwen2 could be trained as well, but the Linux wheel of MLX multiplies with the reference BLAS, some thirty
times slower than numpy's OpenBLAS on one core. Parameters carry mlx-lm's names, so the result is saved as it is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .recipe import Recipe

Array = NDArray[np.float32]
Parameters = dict[str, Array]

EMBEDDING = "model.embed_tokens.weight"
FINAL_NORM = "model.norm.weight"


def initial_parameters(recipe: Recipe, generator: np.random.Generator) -> Parameters:
    """Small random matrices, unit norms, zero biases; layer outputs are scaled down by depth."""
    hidden, inner = recipe.hidden_size, recipe.intermediate_size

    def matrix(rows: int, columns: int, scale: float = 1.0) -> Array:
        deviation = scale / np.sqrt(columns)
        return (generator.standard_normal((rows, columns)) * deviation).astype(np.float32)

    output_scale = 1.0 / np.sqrt(2 * recipe.layers)
    parameters: Parameters = {EMBEDDING: matrix(recipe.vocabulary_size, hidden, 0.5)}
    for layer in range(recipe.layers):
        prefix = f"model.layers.{layer}."
        for name in ("q_proj", "k_proj", "v_proj"):
            parameters[f"{prefix}self_attn.{name}.weight"] = matrix(hidden, hidden)
            parameters[f"{prefix}self_attn.{name}.bias"] = np.zeros(hidden, np.float32)
        parameters[f"{prefix}self_attn.o_proj.weight"] = matrix(hidden, hidden, output_scale)
        parameters[f"{prefix}mlp.gate_proj.weight"] = matrix(inner, hidden)
        parameters[f"{prefix}mlp.up_proj.weight"] = matrix(inner, hidden)
        parameters[f"{prefix}mlp.down_proj.weight"] = matrix(hidden, inner, output_scale)
        for name in ("input_layernorm", "post_attention_layernorm"):
            parameters[f"{prefix}{name}.weight"] = np.ones(hidden, np.float32)
    parameters[FINAL_NORM] = np.ones(hidden, np.float32)
    return parameters


@dataclass
class _Norm:
    """RMS norm; keeps what its backward pass needs."""

    scaled: Array
    inverse: Array
    weight: Array

    @staticmethod
    def forward(x: Array, weight: Array, epsilon: float) -> tuple[Array, "_Norm"]:
        inverse = (1.0 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.float32(epsilon))).astype(np.float32)
        scaled = x * inverse
        return scaled * weight, _Norm(scaled, inverse, weight)

    def backward(self, gradient: Array) -> tuple[Array, Array]:
        """Gradients of the input and of the weight."""
        weight_gradient = np.sum(gradient * self.scaled, axis=0)
        inner = gradient * self.weight
        mean = np.mean(inner * self.scaled, axis=-1, keepdims=True)
        return self.inverse * (inner - self.scaled * mean), weight_gradient


class Network:
    """One forward and backward pass over a batch of rows of equal length."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._head_size = recipe.hidden_size // recipe.heads
        half = self._head_size // 2
        frequencies = recipe.rope_base ** (-np.arange(half) / half)
        angles = np.outer(np.arange(recipe.context_tokens), frequencies)
        self._cosine = np.cos(angles).astype(np.float32)
        self._sine = np.sin(angles).astype(np.float32)

    def loss_and_gradients(
        self, parameters: Parameters, rows: NDArray[np.int64], wanted: NDArray[np.bool_]
    ) -> tuple[float, Parameters]:
        """Mean cross entropy over the wanted tokens, and its gradients.

        Args:
            parameters: The weights.
            rows: Token ids, one row per sequence; position t predicts position t + 1.
            wanted: Same shape; True where a token is to be learnt.
        """
        batch, length = rows.shape[0], rows.shape[1] - 1
        inputs, targets = rows[:, :-1].reshape(-1), rows[:, 1:].reshape(-1)
        shape = (batch, length, self._recipe.heads, self._head_size)
        x = parameters[EMBEDDING][inputs]
        tapes: list[_LayerTape] = []
        for layer in range(self._recipe.layers):
            x, tape = self._layer_forward(parameters, f"model.layers.{layer}.", x, shape)
            tapes.append(tape)
        x, norm = _Norm.forward(x, parameters[FINAL_NORM], self._recipe.norm_epsilon)
        loss, logits_gradient = _cross_entropy(x @ parameters[EMBEDDING].T, targets, wanted[:, 1:].reshape(-1))

        gradients: Parameters = {EMBEDDING: logits_gradient.T @ x}
        gradient, gradients[FINAL_NORM] = norm.backward(logits_gradient @ parameters[EMBEDDING])
        for layer in reversed(range(self._recipe.layers)):
            prefix = f"model.layers.{layer}."
            gradient = self._layer_backward(parameters, gradients, prefix, gradient, tapes.pop())
        np.add.at(gradients[EMBEDDING], inputs, gradient)
        return loss, gradients

    def _layer_forward(
        self, parameters: Parameters, prefix: str, x: Array, shape: tuple[int, int, int, int]
    ) -> tuple[Array, "_LayerTape"]:
        epsilon = self._recipe.norm_epsilon
        normed, norm = _Norm.forward(x, parameters[f"{prefix}input_layernorm.weight"], epsilon)
        q, k, v = (
            (normed @ parameters[f"{prefix}self_attn.{name}.weight"].T + parameters[f"{prefix}self_attn.{name}.bias"])
            .reshape(shape)
            .transpose(0, 2, 1, 3)
            for name in ("q_proj", "k_proj", "v_proj")
        )
        q, k = self._rotate(q, 1), self._rotate(k, 1)
        weights = _causal_softmax(q @ k.swapaxes(-1, -2), self._head_size**-0.5)
        mixed = (weights @ v).transpose(0, 2, 1, 3).reshape(x.shape)
        middle = x + mixed @ parameters[f"{prefix}self_attn.o_proj.weight"].T

        post_normed, post_norm = _Norm.forward(middle, parameters[f"{prefix}post_attention_layernorm.weight"], epsilon)
        gate = post_normed @ parameters[f"{prefix}mlp.gate_proj.weight"].T
        up = post_normed @ parameters[f"{prefix}mlp.up_proj.weight"].T
        sigmoid = 1.0 / (1.0 + np.exp(-gate))
        inner = gate * sigmoid * up
        output = middle + inner @ parameters[f"{prefix}mlp.down_proj.weight"].T
        return output, _LayerTape(
            norm, normed, q, k, v, weights, mixed, post_norm, post_normed, gate, up, sigmoid, inner
        )

    def _layer_backward(
        self,
        parameters: Parameters,
        gradients: Parameters,
        prefix: str,
        gradient: Array,
        tape: "_LayerTape",
    ) -> Array:
        batch, heads, length, size = tape.q.shape

        def through(name: str, above: Array, below: Array) -> Array:
            """Back through a linear layer: stores its weight's gradient, returns its input's."""
            gradients[f"{prefix}{name}.weight"] = above.T @ below
            return above @ parameters[f"{prefix}{name}.weight"]

        inner = through("mlp.down_proj", gradient, tape.inner)
        silu = tape.gate * tape.sigmoid
        gate = inner * tape.up * (tape.sigmoid + silu * (1.0 - tape.sigmoid))
        normed = through("mlp.gate_proj", gate, tape.post_normed) + through(
            "mlp.up_proj", inner * silu, tape.post_normed
        )
        back, gradients[f"{prefix}post_attention_layernorm.weight"] = tape.post_norm.backward(normed)
        gradient = gradient + back

        mixed = (
            through("self_attn.o_proj", gradient, tape.mixed).reshape(batch, length, heads, size).transpose(0, 2, 1, 3)
        )
        value = tape.weights.swapaxes(-1, -2) @ mixed
        scores = mixed @ tape.v.swapaxes(-1, -2)
        scores -= np.sum(scores * tape.weights, axis=-1, keepdims=True)
        scores *= tape.weights
        scores *= np.float32(self._head_size**-0.5)
        query, key = self._rotate(scores @ tape.k, -1), self._rotate(scores.swapaxes(-1, -2) @ tape.q, -1)
        total = np.zeros_like(gradient)
        for name, part in (("q_proj", query), ("k_proj", key), ("v_proj", value)):
            flat = np.ascontiguousarray(part.transpose(0, 2, 1, 3)).reshape(gradient.shape)
            gradients[f"{prefix}self_attn.{name}.bias"] = np.sum(flat, axis=0)
            total += through(f"self_attn.{name}", flat, tape.normed)
        back, gradients[f"{prefix}input_layernorm.weight"] = tape.norm.backward(total)
        return gradient + back

    def _rotate(self, x: Array, direction: int) -> Array:
        """Rotary positions on (batch, head, position, size); -1 undoes them, which is also the backward pass."""
        length, half = x.shape[2], self._head_size // 2
        cosine, sine = self._cosine[:length], self._sine[:length] * np.float32(direction)
        left, right = x[..., :half], x[..., half:]
        return np.concatenate((left * cosine - right * sine, right * cosine + left * sine), axis=-1)


@dataclass
class _LayerTape:
    """What one layer's backward pass needs from its forward pass."""

    norm: _Norm
    normed: Array
    q: Array
    k: Array
    v: Array
    weights: Array
    mixed: Array
    post_norm: _Norm
    post_normed: Array
    gate: Array
    up: Array
    sigmoid: Array
    inner: Array


def _causal_softmax(scores: Array, scale: float) -> Array:
    """Softmax over the keys that a query may see; in place."""
    length = scores.shape[-1]
    scores *= np.float32(scale)
    scores += np.triu(np.full((length, length), -1e9, np.float32), k=1)
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def _cross_entropy(logits: Array, targets: NDArray[np.int64], wanted: NDArray[np.bool_]) -> tuple[float, Array]:
    """Mean loss over the wanted positions and the gradient of the logits."""
    logits -= logits.max(axis=-1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=-1, keepdims=True)
    positions = np.arange(len(targets))
    count = max(int(wanted.sum()), 1)
    loss = float(-np.log(np.maximum(logits[positions[wanted], targets[wanted]], 1e-20)).sum() / count)
    logits[positions, targets] -= 1.0
    logits *= (wanted / np.float32(count)).astype(np.float32)[:, None]
    return loss, logits
