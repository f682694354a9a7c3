"""Child processes: started, read, ended and reaped by one owner. `supervise_process` is the way in for a program."""

from supervisor.process.background import supervised_process
from supervisor.process.supervise import UNSET, SupervisedProcess, supervise_process

__all__ = ["UNSET", "SupervisedProcess", "supervise_process", "supervised_process"]
