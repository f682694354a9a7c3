"""Plans to write service files from, and words that are hard to write."""

from hypothesis import strategies as st

from supervisor.service.plan import ServicePlan

HARD_WORDS = [
    "with a space",
    "50%",
    "%h",
    "%%",
    "$HOME",
    "${HOME}",
    "$$",
    'say "yes"',
    "it's",
    "back\\slash",
    "\\n",
    "ends with\\",
    ";",
    "\\;",
    "",
    " ",
    "#no comment",
    "<plist>&amp;",
    "--",
    "-->",
    "größe",
    "模型",
    "\u00a0\u202f",
]

LETTERS = st.characters(exclude_categories=("Cc", "Cs", "Cn"))
WORDS = st.text(LETTERS, max_size=30) | st.sampled_from(HARD_WORDS)


def plan_of(*words: str, folder: str = "/srv/models", **environment: str) -> ServicePlan:
    """A plan whose command is `words`, after an absolute program."""
    return ServicePlan(("/opt/py thon/bin/python3", *words), folder, environment, "/srv/state 1/service.log")
