"""Programs that write alarming things and are well: warnings, handled errors, progress bars."""
# ruff: noqa: E501 - programs stand on the lines that they have

from capturing.load_failures import sound_model
from capturing.ring_failures import ring
from capturing.scenario import Scenario, Truth
from capturing.single import program

_LOG = (
    "import logging\n\nlogging.basicConfig(format='%(asctime)s - %(name)s - %(levelname)s - %(message)s', level=10)\n"
)

_ROWS: tuple[tuple[str, str], ...] = (
    ("warnings", "import warnings\n\nwarnings.warn('the old name of this option is deprecated', DeprecationWarning)\n"
     "warnings.warn('failed to find a faster kernel, falling back', RuntimeWarning)\n"
     "warnings.warn('Error bars are not shown')"),
    ("retry", _LOG + "log = logging.getLogger('download')\n"
     "log.warning('attempt 1 of 3 failed: ConnectionResetError: [Errno 104] Connection reset by peer; retrying in 1 s')\n"
     "log.info('attempt 2 of 3 succeeded')"),
    ("handled_warning", _LOG + "log = logging.getLogger('cache')\ntry:\n    open('no-such-cache.json')\n"
     "except OSError as error:\n    log.warning('no cache yet: %s', error)\nlog.info('starting with an empty cache')"),
    ("handled_traceback", _LOG + "log = logging.getLogger('metrics')\ntry:\n    {}['gauge']\nexcept KeyError:\n"
     "    log.warning('no gauge, going on without', exc_info=True)\nlog.info('serving')"),
    ("ignored_in_del", "class Handle:\n    def __del__(self):\n        raise RuntimeError('the handle was closed')\n\nHandle()\n"),
    ("leaked_semaphores", "import multiprocessing, os, sys, time\n\n"
     "kept = [multiprocessing.get_context('spawn').Semaphore() for _ in range(3)]\nsys.stderr.flush()\n"
     "if os.fork() == 0:\n    time.sleep(0.5)\n    os._exit(0)\nos.wait()\nos._exit(0)"),
    ("tokenizers_fork", "import os\n\nfrom tokenizers import Tokenizer\n\ntokenizer = Tokenizer.from_file('{models}/m/tokenizer.json')\n"
     "tokenizer.encode_batch(['hello there', 'general'] * 200)\nif os.fork() == 0:\n    tokenizer.encode_batch(['hello', 'you'] * 200)\n    os._exit(0)\nos.wait()"),
    ("progress", "import time\n\nfrom tqdm import tqdm\n\nfor _ in tqdm(range(8), desc='Fetching 8 files'):\n    time.sleep(0.02)\n"
     "for _ in tqdm(range(4), desc='Loading checkpoint shards'):\n    time.sleep(0.02)"),
    ("prompt_echoed", _LOG + "logging.getLogger('api').info('prompt: why does my runner say \"[ring] Receiving from socket 5 "
     "failed with errno 104\" and RuntimeError: [METAL] Command buffer execution failed?')"),
    ("deprecated", "import mlx.core as mx\n\ntry:\n    mx.metal.device_info()\nexcept Exception:\n    pass\n"
     "try:\n    mx.metal.get_peak_memory()\nexcept Exception:\n    pass"),
    ("generate", "from mlx_lm import generate, load\n\nmodel, tokenizer = load('{models}/m')\n"
     "generate(model, tokenizer, prompt='hi', max_tokens=4, verbose=True)"),
    ("server_bad_requests", "import json, subprocess, sys, time, urllib.error, urllib.request\nimport socket\n\n"
     "held = socket.socket()\nheld.bind(('127.0.0.1', 0))\nport = held.getsockname()[1]\nheld.close()\n"
     "server = subprocess.Popen([sys.executable, '-m', 'mlx_lm', 'server', '--model', '{models}/m', '--port', str(port)])\n"
     "for _ in range(300):\n    try:\n        urllib.request.urlopen(f'http://127.0.0.1:{port}/v1/models').read()\n        break\n"
     "    except OSError:\n        time.sleep(0.1)\n"
     "for body in (b'{', b'[]', b'{\"messages\": 3}', b'{\"messages\": [], \"max_tokens\": -4}', b'{\"model\": 7}'):\n"
     "    for path in ('/v1/chat/completions', '/v1/nowhere'):\n        try:\n"
     "            urllib.request.urlopen(f'http://127.0.0.1:{port}{path}', body, timeout=3).read()\n"
     "        except (OSError, urllib.error.HTTPError):\n            pass\nserver.terminate()\nserver.wait()"),
)  # fmt: skip

HARMLESS: tuple[Scenario, ...] = (
    *(
        program(f"harmless_{name}", "harmless", Truth(None, exits=(0,)), source, prepare=sound_model)
        for name, source in _ROWS
    ),
    *(
        Scenario(f"ring_finish_{mode}_{size}", "harmless", Truth(None, exits=(0,)), ring("finish", mode, size, 0))
        for mode, size in (("all_sum", 2), ("all_sum", 3), ("gather", 3), ("send_recv", 4))
    ),
)
