"""Examples below the help of the commands that people use most. Each one is a line that works as it stands."""

_EXAMPLES = {
    "up": (
        "ringwarden up",
        "ringwarden up --model mlx-community/Qwen3-4B-4bit --ranks 2",
        "ringwarden up --nodes auto --model mlx-community/Qwen3-30B-A3B-4bit",
    ),
    "join": ("ringwarden join", "ringwarden join studio.local"),
    "run": (
        "ringwarden run -- python train.py",
        "ringwarden run -n 2 --tag experiment=7 -- python ring.py --steps 100",
    ),
    "top": ("ringwarden top", "ringwarden top --once --json"),
    "events": (
        "ringwarden events --since 1h",
        "ringwarden events --follow --type death --type incident",
        "ringwarden events --json | jq .text",
    ),
    "logs": (
        "ringwarden logs --rank 1 --follow",
        "ringwarden logs --tag user=ann --since 10m",
        "ringwarden logs --export jsonl --output logs.jsonl",
    ),
    "why": ("ringwarden why", "ringwarden why inc-7f3a", "ringwarden why --bundle incident.zip"),
    "diagnose": (
        "ringwarden diagnose server.log --exit-status 134",
        "python -m mlx_lm server 2>&1 | ringwarden diagnose",
        "ringwarden diagnose --group 0=rank0.log:1 1=rank1.log:-9",
    ),
    "requests": ("ringwarden requests", "ringwarden requests --json"),
    "doctor": ("ringwarden doctor", "ringwarden doctor --fix"),
    "service": ("ringwarden service install --model tiny", "ringwarden service status"),
    "config": ("ringwarden config check", "ringwarden config show --port 8080"),
    "keys": ("ringwarden keys", "ringwarden keys accept mini-2 KEY"),
}


def examples(command: str) -> str | None:
    """Return the text below a command's help; None where it needs none."""
    lines = _EXAMPLES.get(command)
    # The first line keeps typer from filling the rest up into a paragraph.
    return None if lines is None else "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))
