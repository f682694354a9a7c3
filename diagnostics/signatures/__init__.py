"""The catalogue: every failure message that Ringwarden knows, as data, one module per subsystem.

To teach it a new message, add one `Signature` to the fitting module, with the message as its `example`; the tests run
every example through the engine. Earlier rows win when two match at the same place in a line.
"""

from diagnostics.signature import Signature
from diagnostics.signatures.collectives import COLLECTIVES
from diagnostics.signatures.crash import CRASH
from diagnostics.signatures.download import DISK, DOWNLOAD
from diagnostics.signatures.jaccl import JACCL
from diagnostics.signatures.metal import METAL
from diagnostics.signatures.models import TOKENIZER, UNSUPPORTED
from diagnostics.signatures.parents import PARENTS
from diagnostics.signatures.process import PROCESS
from diagnostics.signatures.python import PYTHON
from diagnostics.signatures.ring import RING
from diagnostics.signatures.shells import SHELLS
from diagnostics.signatures.weights import CORRUPT, WEIGHTS

CATALOGUE: tuple[Signature, ...] = (
    *METAL,
    *RING,
    *JACCL,
    *COLLECTIVES,
    *PROCESS,
    *CRASH,
    *SHELLS,
    *PARENTS,
    *DOWNLOAD,
    *DISK,
    *WEIGHTS,
    *CORRUPT,
    *UNSUPPORTED,
    *TOKENIZER,
    *PYTHON,
)
