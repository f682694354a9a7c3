"""`python -m runner`: started by a supervisor only, by exec, with its end of the private channel."""

from runner.bootstrap import main

if __name__ == "__main__":
    main()
