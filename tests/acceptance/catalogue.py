"""Which clients the matrix runs, each with the exact packages of its environment."""

from pathlib import Path
from typing import NamedTuple

CLIENTS_FOLDER = Path(__file__).parent / "clients"
NODE = "node@22.23.3"


class Client(NamedTuple):
    """One client: `program` in `clients/`, run in an environment that holds `packages`, the first of which names it.

    `environment` is shared by clients of the same packages.
    """

    name: str
    environment: str
    packages: tuple[str, ...]
    program: str

    @property
    def is_node(self) -> bool:
        """Whether Node runs it; else Python."""
        return self.program.endswith(".mjs")

    @property
    def version(self) -> str:
        """Of the client's own package."""
        return self.packages[0].rpartition("@" if self.is_node else "==")[2]


CLIENTS = (
    Client("openai-python", "openai-python", ("openai==3.54.0",), "openai_python.py"),
    Client("openai-python-responses", "openai-python", ("openai==3.54.0",), "openai_python_responses.py"),
    Client("openai-python-2", "openai-python-2", ("openai==2.54.0",), "openai_python.py"),
    Client("anthropic-python", "anthropic-python", ("anthropic==2.12.0",), "anthropic_python.py"),
    Client("litellm", "litellm", ("litellm==1.106.2", "openai==2.54.0"), "litellm_python.py"),
    Client(
        "langchain-openai", "langchain-openai", ("langchain-openai==1.7.3", "openai==3.54.0"), "langchain_python.py"
    ),
    Client("llm", "llm", ("llm==0.36", "openai==3.54.0"), "llm_command.py"),
    Client("ollama-python", "ollama-python", ("ollama==0.6.3",), "ollama_python.py"),
    Client("openai-node", "openai-node", ("openai@7.57.0",), "openai_node.mjs"),
    Client("openai-node-6", "openai-node-6", ("openai@6.49.0",), "openai_node.mjs"),
    Client("anthropic-node", "anthropic-node", ("@anthropic-ai/sdk@1.12.0",), "anthropic_node.mjs"),
    Client("ai-sdk", "ai-sdk", ("ai@7.0.173", "@ai-sdk/openai-compatible@3.0.92"), "ai_sdk.mjs"),
    Client("ai-sdk-text", "ai-sdk", ("ai@7.0.173", "@ai-sdk/openai-compatible@3.0.92"), "ai_sdk_text.mjs"),
    Client("ai-sdk-6", "ai-sdk-6", ("ai@6.0.326", "@ai-sdk/openai-compatible@2.0.87"), "ai_sdk.mjs"),
)


def clients_named(names: list[str]) -> tuple[Client, ...]:
    """Return these clients, all when none is named.

    Raises:
        KeyError: There is no client of such a name.
    """
    by_name = {client.name: client for client in CLIENTS}
    return tuple(by_name[name] for name in names) if names else CLIENTS
