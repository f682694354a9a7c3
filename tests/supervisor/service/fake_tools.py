"""`launchctl` and `systemctl` as executables that write down their arguments and behave as the real ones do."""

from pathlib import Path

# Each call is one line; a job that was told to leave is there for two more looks, as with the real launchctl.
LAUNCHCTL = """#!/bin/sh
here=$(dirname "$0")
echo "launchctl $*" >> "$here/calls"
case "$1 $2" in
  "print gui/"*/local.ringwarden)
    if [ -f "$here/leaving" ]; then
      left=$(cat "$here/leaving")
      if [ "$left" -gt 0 ]; then echo $((left - 1)) > "$here/leaving"; else rm -f "$here/leaving" "$here/loaded"; fi
    fi
    if [ -f "$here/loaded" ]; then
      printf 'job = {\\n\\tstate = running\\n\\truns = 2\\n\\tpid = %s\\n\\tlast exit code = 75: EX_TEMPFAIL\\n}\\n' "$(cat "$here/pid")"
    else
      echo 'Could not find service "local.ringwarden" in domain for user gui' >&2; exit 113
    fi ;;
  "print gui/"*) [ ! -f "$here/unreachable" ] || { echo "Could not find domain" >&2; exit 112; } ;;
  "bootstrap "*)
    if [ -f "$here/refuses" ]; then echo "Bootstrap failed: 5: Input/output error" >&2; exit 5; fi
    [ ! -f "$here/loaded" ] || { echo "Bootstrap failed: 37: Operation already in progress" >&2; exit 37; }
    [ -f "$3" ] || { echo "Bootstrap failed: 2: No such file" >&2; exit 2; }
    : > "$here/loaded" ;;
  "bootout "*) echo 2 > "$here/leaving"; exit 36 ;;
  *) exit 64 ;;
esac
"""  # noqa: E501 - a shell's line

SYSTEMCTL = """#!/bin/sh
here=$(dirname "$0")
echo "systemctl $*" >> "$here/calls"
[ ! -f "$here/unreachable" ] || { echo "Failed to connect to bus: No medium found" >&2; exit 1; }
shift 2
case "$1" in
  show)
    if [ -f "$here/loaded" ]; then
      printf 'LoadState=loaded\\nActiveState=active\\nSubState=running\\nNRestarts=1\\nMainPID=%s\\nExecMainCode=0\\n' "$(cat "$here/pid")"
    else
      printf 'LoadState=not-found\\nActiveState=inactive\\nSubState=dead\\nMainPID=0\\nNRestarts=0\\n'
    fi ;;
  enable)
    [ ! -f "$here/refuses" ] || { echo "Job for ringwarden.service failed." >&2; exit 1; }
    : > "$here/loaded" ;;
  disable) rm -f "$here/loaded" ;;
  reset-failed) exit 1 ;;
  show-environment|daemon-reload) ;;
  *) exit 64 ;;
esac
"""  # noqa: E501 - a shell's line


class FakeTools:
    """A folder for PATH with both commands in it.

    Args:
        folder: Where they are put, with what they write down.
        service_pid: The process that they say is the service.
    """

    def __init__(self, folder: Path, service_pid: int) -> None:
        folder.mkdir()
        self.folder = folder
        for name, script in (("launchctl", LAUNCHCTL), ("systemctl", SYSTEMCTL)):
            (folder / name).write_text(script)
            (folder / name).chmod(0o755)
        (folder / "pid").write_text(str(service_pid))

    def be(self, mood: str) -> None:
        """From now on be `unreachable`, or one that `refuses` to start a service."""
        (self.folder / mood).touch()

    def calls(self) -> list[str]:
        """What was called since the last time this was asked, one line each."""
        record = self.folder / "calls"
        lines = record.read_text().splitlines() if record.exists() else []
        record.unlink(missing_ok=True)
        return lines
