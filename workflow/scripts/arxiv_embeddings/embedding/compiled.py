"""Compiling the layers of a model for rows of one shape, which fuses what stands between the matrix products.

The layers of a model share their code, so the first one is compiled and the others use the result
(https://docs.pytorch.org/tutorials/recipes/regional_compilation.html). Not run on a GPU so far.

torch's compiler is not safe with threads (https://github.com/pytorch/pytorch/issues/118260). So layers are compiled
before the threads of a job begin, and nothing is compiled later: a call that does not fit what was compiled (another
shape, or a global setting of torch that another thread changes while it loads a model) is computed uncompiled.

CUDA graphs are left out: torch's fail with threads (https://github.com/pytorch/pytorch/issues/123177), and a row of
32,768 tokens computes for so long that starting its kernels costs little.
"""

import atexit
import logging
import os
import shutil
import stat
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.modeling_layers import GradientCheckpointingLayer

from .self_check import LEAST_COSINE

log = logging.getLogger(__name__)

# Estimated, not measured on a GPU: the first compilation takes 30 s, a later one with its result in the cache 10 s, and
# compiling saves an H100 2 of 4.6 microseconds a token of Qwen3-Embedding-0.6B. So 30 s are worth it for 75,000 papers
# of 200 tokens and 10 s for 25,000. In between, so that a run of few shards loses little and one of many gains.
LEAST_PAPERS = 50_000
# A model has at most this many kinds of layers (windows and full attention, for example). If each layer differed,
# compiling all of them would take minutes.
KINDS = 4
# One thread compiles: processes of torch's compiler would import torch again and need more memory than the job asked for.
# A layer that cannot be compiled as a whole is an error, so that nothing stays uncompiled without a message.
HOW: dict[str, Any] = {"dynamic": False, "fullgraph": True, "options": {"compile_threads": 1}}


def keep_in(folder: Path) -> None:
    """Keep what this process compiles in ``folder``, so that later jobs compile in less time.

    Jobs may share it: torch's compiler writes a file beside and renames it, and finds it by a hash of all that it
    depends on. Triton's own cache can fail on a network file system (https://github.com/triton-lang/triton/issues/11512),
    so it is a folder of this process; torch's cache contains the kernels as well.
    """
    own = tempfile.mkdtemp(prefix="triton-")
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    problem = None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.stat()
        # Its files are loaded as code.
        if facts.st_uid != os.getuid() or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            problem = f"Other users can write to {folder}"
    except OSError as error:
        problem = str(error)
    if problem:
        log.warning("%s, so compiled layers are not kept there.", problem)
        folder = Path(own) / "layers"
    os.environ.update(TORCHINDUCTOR_CACHE_DIR=str(folder.absolute()), TRITON_CACHE_DIR=own)


def compile_layers(model: transformers.PreTrainedModel, states: Callable[[], torch.Tensor]) -> None:
    """Compile the layers of ``model``.

    If they do not compute the same as before, or if anything fails, they are left uncompiled, and the log says why.

    Args:
        model: on its device.
        states: computes hidden states (tokens, d) with the model, in the shape and the dtype of all later calls.
    """
    layers = [it for it in model.modules() if isinstance(it, GradientCheckpointingLayer)]
    try:
        if not layers:
            raise RuntimeError("transformers does not mark the layers of this model")
        expected = states()
        began = time.perf_counter()
        torch.compiler.set_stance("default")
        for layer in layers:
            layer.compile(recompile_limit=KINDS, **HOW)
        found = states()
        log.info("Compiled layers on %s in %.1f s.", model.device, time.perf_counter() - began)
        _compare(found, expected)
    # A compiler may raise anything. If memory ran out, the rows without compiling show whether they fit.
    except Exception as error:
        uncompile(model)
        # The messages of compilers have many lines.
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 300, placeholder=" …")
        log.warning("Layers are not compiled on %s (%s).", model.device, reason)
    finally:
        torch.compiler.set_stance("eager_on_recompile")


def is_compiled(model: transformers.PreTrainedModel) -> bool:
    """Return whether ``model`` computes with compiled layers."""
    return any(module._compiled_call_impl is not None for module in model.modules())


def uncompile(model: transformers.PreTrainedModel) -> None:
    """Let ``model`` compute with uncompiled layers."""
    for module in model.modules():
        module._compiled_call_impl = None


def _compare(found: torch.Tensor, expected: torch.Tensor) -> None:
    # Each token must pass as a vector must in the self-check, which would stop the job. In bfloat16 on a CPU, the least
    # cosine was 0.9998 (28 layers of Qwen3's shape, random weights) and 0.9999 (MiniLM).
    # Compared on the CPU, because a GPU may be short of memory for float32.
    cosine = torch.cosine_similarity(found.cpu().float(), expected.cpu().float(), dim=1).min()
    # A comparison with NaN is false.
    if not cosine >= LEAST_COSINE:
        raise RuntimeError(
            f"in a trial, they computed other states than uncompiled, cosine {cosine:.4f}"
        )
