"""Sessions of onnxruntime, without PyTorch."""

import os
from pathlib import Path
from typing import Any

from m4ser.utils.errors import UserError

LABELS = "m4ser_labels"  # key of a graph's metadata: its labels, as JSON
NOTE = "m4ser_graph"  # of a whole graph: its description, as JSON


def threads() -> int:
    """Threads of a session: as many as ``OMP_NUM_THREADS`` allows PyTorch, else as there are processors for us."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return int(limit) if limit.isdecimal() and int(limit) > 0 else len(os.sched_getaffinity(0))


def open_session(path: Path) -> Any:
    """An onnxruntime session of an exported graph, on the CPU.

    Raises:
        UserError: it is not an ONNX graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.log_severity_level = 3
    # Recordings are of any length: memory for one is given back, and not planned for the next.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an exception class of its own for every fault
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: is not an ONNX graph that can be used ({reason})") from None
