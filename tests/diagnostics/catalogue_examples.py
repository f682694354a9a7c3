"""The catalogue's examples as the logs that they would stand in."""

from diagnostics.signature import Signature

# Texts whose meaning depends on what raised them: example id -> the traceback around it.
CONTEXTS = {
    "ring.hostfile_json": '    g = mx.distributed.init(backend="ring", strict=True)',
    "load.config_json": '  File "/lib/python3.11/json/__init__.py", line 293, in load',
    "tokenizer.raised": '  File "/lib/transformers/convert_slow_tokenizer.py", line 7, in convert_slow_tokenizer',
}


def log_of(signature: Signature) -> str:
    """The example, with the traceback around it where the meaning depends on that."""
    context = CONTEXTS.get(signature.id)
    if context is None:
        return signature.example
    return f'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n{context}\n{signature.example}'
