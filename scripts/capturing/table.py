"""Every scenario."""

from capturing.exceptions import EXCEPTIONS
from capturing.harmless import HARMLESS
from capturing.launchers import LAUNCHERS
from capturing.load_failures import LOAD
from capturing.network_failures import NETWORK
from capturing.process_failures import PROCESS
from capturing.ring_failures import RING
from capturing.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (*RING, *LOAD, *PROCESS, *EXCEPTIONS, *NETWORK, *HARMLESS, *LAUNCHERS)
