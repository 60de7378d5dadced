"""What `make slurm-setup` proposes for a site, from what sinfo lists."""

from collections.abc import Callable

from arxiv_embeddings.slurm.site import propose
from support.slurm_runs import prints


def test_partitions_whose_nodes_are_hidden_are_not_proposed(commands: Callable[..., None]) -> None:
    lines = ["cloud*|infinite|0|0||up", "cpu|60|1000|4|(null)|up", "gpu|60|1000|4|gpu:1|up"]
    commands(sinfo=prints("\n".join(lines)), sbatch="exit 0")
    assert propose() == {"cpu_partition": "cpu", "gpu_partition": "gpu"}
    commands(sinfo=prints(lines[0]), sbatch="exit 0")
    assert propose() == {"cpu_partition": "cloud"}
