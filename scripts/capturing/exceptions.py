"""Python exceptions in all the ways in which programs end by them."""
# ruff: noqa: E501 - programs stand on the lines that they have

from capturing.scenario import Scenario, Truth
from capturing.single import program

_OTHER = "python_exception_other"

_ROWS: tuple[tuple[str, str, str], ...] = (
    ("plain", "^ValueError: synthetic", 'def step():\n    raise ValueError("synthetic failure")\n\nstep()'),
    ("no_text", "^RuntimeError$", "raise RuntimeError"),
    ("lines", "^RuntimeError: first line", 'raise RuntimeError("first line\\nsecond line\\n  third line")'),
    ("own_class", "^__main__.EngineError: |^EngineError: ",
     'class EngineError(Exception):\n    pass\n\nraise EngineError("no batch could be made")'),
    ("note", "^ValueError: synthetic",
     'error = ValueError("synthetic failure")\nerror.add_note("while decoding token 17")\nraise error'),
    ("cause", "^KeyError: 'layer'",
     'try:\n    {}["layer"]\nexcept KeyError as error:\n    raise RuntimeError("the step failed") from error'),
    ("context", "^ZeroDivisionError: ",
     'try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise RuntimeError("the step failed")'),
    ("suppressed", "^RuntimeError: the step failed",
     'try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise RuntimeError("the step failed") from None'),
    ("group", r"\| ValueError: bad token|\| TypeError: bad type",
     'raise ExceptionGroup("2 tasks failed", [ValueError("bad token"), TypeError("bad type")])'),
    ("recursion", "^RecursionError: ", "def down():\n    down()\n\ndown()"),
    ("assertion", "^AssertionError", "cache = []\nassert cache, 'the cache is empty'"),
    ("unicode", "^UnicodeDecodeError: ", 'b"\\xff\\xfe".decode()'),
    ("syntax", "^SyntaxError: ", 'compile("def f(:", "engine.py", "exec")'),
    ("mlx_shapes", "^ValueError: .*(?:matmul|shape)",
     "import mlx.core as mx\n\nmx.eval(mx.ones((2, 3)) @ mx.ones((4, 5)))"),
    ("mlx_broadcast", "^ValueError: .*broadcast", "import mlx.core as mx\n\nmx.eval(mx.ones((2, 3)) + mx.ones((4,)))"),
    ("mlx_slice", "Error: ", 'import mlx.core as mx\n\nmx.ones((2, 3))["key"]'),
    ("mlx_compile", "Error: .*eval",
     "import mlx.core as mx\n\nmx.compile(lambda x: (mx.eval(x), x + 1)[1])(mx.ones(3))"),
    ("mlx_gpu", "Error: ", "import mlx.core as mx\n\nmx.eval(mx.add(mx.ones(3), 1, stream=mx.gpu))"),
    ("thread", "^RuntimeError: the worker failed",
     "import sys, threading\n\ndef work():\n    raise RuntimeError('the worker failed')\n\n"
     "worker = threading.Thread(target=work)\nworker.start()\nworker.join()\nsys.exit(1)"),
    ("executor", "^RuntimeError: the worker failed",
     "from concurrent.futures import ThreadPoolExecutor\n\ndef work():\n    raise RuntimeError('the worker failed')\n\n"
     "ThreadPoolExecutor().submit(work).result()"),
    ("subprocess", "^subprocess.CalledProcessError|^RuntimeError: the worker",
     'import subprocess, sys\n\nsubprocess.run([sys.executable, "-c", "raise RuntimeError(\'the worker failed\')"],'
     " check=True)"),
    ("pool", "RuntimeError: the worker failed",
     "from concurrent.futures import ProcessPoolExecutor\n\ndef work():\n    raise RuntimeError('the worker failed')\n\n"
     'if __name__ == "__main__":\n    with ProcessPoolExecutor(1) as pool:\n        pool.submit(work).result()'),
    ("task", "^RuntimeError: the task failed",
     "import asyncio, sys\n\nasync def work():\n    raise RuntimeError('the task failed')\n\nasync def main():\n"
     "    task = asyncio.create_task(work())\n    await asyncio.sleep(0.05)\n    del task\n\n"
     "asyncio.run(main())\nsys.exit(1)"),
    ("task_group", r"\| RuntimeError: the task failed",
     "import asyncio\n\nasync def work():\n    raise RuntimeError('the task failed')\n\nasync def main():\n"
     "    async with asyncio.TaskGroup() as group:\n        group.create_task(work())\n\nasyncio.run(main())"),
    ("logged_and_left", "^RuntimeError: the engine failed",
     "import logging, sys\n\nlogging.basicConfig(format='%(asctime)s - %(name)s - %(levelname)s - %(message)s')\n"
     "try:\n    raise RuntimeError('the engine failed')\nexcept RuntimeError:\n"
     "    logging.getLogger('runner').exception('leaving')\n    sys.exit(1)"),
)  # fmt: skip

EXCEPTIONS: tuple[Scenario, ...] = tuple(
    program(f"exception_{name}", "exceptions", Truth(_OTHER, marker=marker, exits=(1,)), source)
    for name, marker, source in _ROWS
)
