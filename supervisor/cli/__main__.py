"""`python -m supervisor.cli` is `ringwarden`."""

import sys

from supervisor.cli.main import main

sys.exit(main())
