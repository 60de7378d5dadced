"""Computing on the GPU of a job where cuML is installed."""

import importlib.util
import os

from ..common.errors import InputError

# Values of CUDA_VISIBLE_DEVICES that hide all GPUs; SLURM sets the second one.
NO_GPU = ("", "NoDevFiles", "-1")


def accelerate() -> str:
    """Let the estimators of scikit-learn and umap-learn compute on the GPU of this job, where cuML knows them.

    To be called before scikit-learn and umap-learn are imported (https://docs.nvidia.com/cuml/latest/cuml-accel/). Not run on
    a GPU so far.

    Returns:
        The version of cuML; "" if the job has no GPU or cuML is not installed.

    Raises:
        InputError: cuML does not work on this node.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "") in NO_GPU:
        return ""
    if not importlib.util.find_spec("cuml"):
        return ""
    try:
        import cuml.accel

        cuml.accel.install()
        return str(cuml.__version__)
    # What it raises without a driver that fits is not documented.
    except Exception as error:
        raise InputError(
            f"cuML is installed, but does not work on this node ({type(error).__name__}: {error}). Exclude the node, "
            "uninstall cuML, or ask for no GPU."
        ) from error
