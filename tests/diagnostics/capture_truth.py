"""What truly happened in each captured run, and what its logs and exits allow to know of it.

Written from how each run was made, never from what the code says about it.
"""

from dataclasses import dataclass

from diagnostics.cause import Cause

PYTHON, ABORT, STALLED = Cause.PYTHON_EXCEPTION_OTHER, Cause.ABORT_OTHER, Cause.STALLED
KILLED, CONNECT, BIND = Cause.KILLED_NO_STDERR, Cause.RING_CONNECT_FAILED, Cause.RING_BIND_FAILED
LOST = (Cause.RING_PEER_CLOSED, Cause.RING_SEND_ERRNO, Cause.RING_RECV_ERRNO, Cause.RING_ABORT)
CORRUPT, MISSING = Cause.MODEL_LOAD_CORRUPT, Cause.MODEL_LOAD_MISSING_WEIGHTS
UNSUPPORTED, TOKENIZER = Cause.MODEL_UNSUPPORTED, Cause.TOKENIZER_ERROR


@dataclass(frozen=True)
class Truth:
    """`rank` is who must be named; where it is None, nobody may be, and `suspects` must be among the suspects."""

    kinds: tuple[Cause, ...]
    rank: int | None = None
    suspects: frozenset[int] = frozenset()


def named(rank: int, *kinds: Cause) -> Truth:
    return Truth(kinds, rank)


def undetermined(*suspects: int, kinds: tuple[Cause, ...] = (STALLED,)) -> Truth:
    return Truth(kinds, None, frozenset(suspects))


GROUPS: dict[str, Truth | None] = {
    "absent_rank0_verbose": named(0, CONNECT),
    "absent_rank1_verbose": named(1, CONNECT),
    "absent_rank2": undetermined(0, 1),  # Two ranks without a word: nothing tells that there should be a third.
    "absent_rank2_verbose": named(2, CONNECT),
    "api_async": named(1, KILLED),
    "api_bad_dst": named(0, PYTHON),
    "api_non_neighbour": named(0, PYTHON, ABORT),
    "api_non_neighbour_recv": named(2, PYTHON, ABORT),
    "api_order": None,
    "api_split": named(0, PYTHON),
    "api_sum_scatter": named(0, PYTHON),
    "api_thread": named(1, KILLED),
    "api_thread_swallow": named(1, KILLED),
    "blackhole": undetermined(1),
    "blackhole_retries3": undetermined(1),
    "close_fd": named(1, Cause.RING_SEND_ERRNO, Cause.RING_RECV_ERRNO),
    "duplicate_rank": named(2, CONNECT),
    "idle_rank": undetermined(1),
    "kill9_gather": named(1, KILLED),
    "kill9_in_loop": named(1, KILLED),
    "kill9_n2": named(1, KILLED),
    "kill9_peer_waiting": named(1, KILLED),
    "kill9_pingpong": named(1, KILLED),
    "late_rank1": None,
    "late_rank1_40s": named(1, CONNECT),
    # Of a launcher's runs only what each rank wrote is known, not how it ended.
    "launch_done": None,
    "launch_exit0": named(1, *LOST),
    "launch_kill9": named(1, *LOST),
    "launch_sigstop": None,
    "launch_verbose_raise": named(1, PYTHON),
    "mismatched_shapes": undetermined(1),
    "mpi_done": None,
    "mpi_exit0": None,
    "mpi_kill9": None,
    "mpi_raise": named(1, PYTHON),
    "mpi_sigstop": None,
    "n5_kill_big": named(2, KILLED),
    "net_down_default": undetermined(0, 1, 2),
    "net_down_flap": undetermined(0, 1, 2),
    "net_down_retries3": undetermined(0, 1, 2),
    "port_in_use_rank0": named(0, BIND),
    "port_in_use_reuse": undetermined(1),
    "port_probe_rank0": named(0, CONNECT),
    # Its own sockets were shut down, which looks from each of them as if the other side had done so.
    "shutdown_fd": undetermined(1, kinds=LOST),
    "sigint": named(1, KILLED),
    "sigstop": undetermined(1),
    "sigstop_cont": undetermined(1),
}

_SINGLES_BY_CAUSE: dict[tuple[Cause, ...], str] = {
    (PYTHON, Cause.JACCL_INIT_FAILED): "backend_jaccl",
    (Cause.MPI_ERROR,): "backend_mpi mpi_single",
    (PYTHON, Cause.NCCL_ERROR): "backend_nccl",
    (CONNECT,): "both_missing_any both_missing_env hostfile_badport hostfile_empty hostfile_emptylists hostfile_ipv6 "
    "hostfile_launchstyle hostfile_missing hostfile_nocolon hostfile_notjson hostfile_numbers hostfile_truncated "
    "rank_missing_env",
    (BIND,): "hostfile_bindnotlocal",
    (ABORT,): "hostfile_emptyarray py_abort py_abort_faulthandler py_fpe py_fpe_faulthandler py_ill_faulthandler",
    (Cause.UNKNOWN,): "hostfile_notlocal hostfile_single rank_garbage rank_negative py_pipe py_sys_exit "
    "py_semaphore_leak__exit",
    (Cause.DLOPEN_FAILED,): "import_no_lib",
    (CORRUPT,): "lm_bad_config_json lm_empty_config load_gguf_garbage load_no_ext load_npy_magic load_npz_notzip "
    "load_st_bad_json load_st_directory load_st_empty load_st_html load_st_json_array load_st_nokey load_unknown_ext",
    (CORRUPT, Cause.EXITED_EARLY): "load_st_offsets load_st_offsets3 load_st_truncated_data load_st_truncated_lazy",
    (CORRUPT, TOKENIZER): "lm_truncated_shard",
    (MISSING,): "lm_extra_params lm_missing_params lm_missing_shard lm_no_config lm_quant_missing_scales "
    "lm_quant_no_config lm_shape_mismatch lm_vocab_mismatch load_st_missing",
    (MISSING, Cause.THREAD_RESOURCE_EXHAUSTED): "load_nofile_limit",
    (MISSING, Cause.EXITED_EARLY): "lm_quant_bits_mismatch",
    (Cause.EXITED_EARLY,): "lm_good lm_quant_good lm_quant_unknown_method py_mp_child_kill",
    (UNSUPPORTED,): "lm_no_model_type lm_quant_method_missing load_st_dtype",
    (UNSUPPORTED, PYTHON, Cause.EXITED_EARLY): "lm_quant_bad_bits load_quant_bits",
    (TOKENIZER,): "lm_no_tokenizer lm_unknown_tokenizer_class",
    (Cause.DOWNLOAD_FAILED,): "lm_repo_badname",
    (PYTHON,): "proc_eval_in_compile proc_gpu_missing proc_gpu_stream proc_malloc_bad_alloc proc_matmul_shape "
    "proc_numpy_memory proc_sendsolo proc_split py_brokenpipe py_conn_reset py_no_module py_recursion",
    (PYTHON, Cause.THREAD_RESOURCE_EXHAUSTED): "py_nofile",
    # A thread raised, and the process went on to exit with 0.
    (PYTHON, Cause.EXITED_EARLY): "proc_thread_stream py_asyncio_never py_thread_exc",
    (Cause.METAL_MALLOC_LIMIT, Cause.SEGFAULT): "proc_malloc_huge",
    (Cause.THREAD_RESOURCE_EXHAUSTED,): "proc_malloc_rlimit_thread",
    (Cause.PORT_IN_USE,): "py_addr_in_use py_http_in_use",
    (Cause.BUS_ERROR,): "py_bus",
    (Cause.SEGFAULT,): "py_segv py_segv_faulthandler",
    (KILLED,): "py_int py_kill_faulthandler py_semaphore_leak_kill py_term py_term_faulthandler",
    LOST: "py_exit_group",
}

SINGLES = {name: kinds for kinds, names in _SINGLES_BY_CAUSE.items() for name in names.split()}
"""The causes that one process's log and exit may be told by; `EXITED_EARLY` is a process that ended with 0."""
