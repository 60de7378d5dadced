"""A temporary SLURM cluster on one machine, for tests with a real SLURM.

    sudo python tests/slurm/cluster.py up
    eval "$(python tests/slurm/cluster.py env)"
    srun --partition=gpu --gpus=1 env | grep CUDA
    sudo python tests/slurm/cluster.py down

It runs munge, slurmdbd on MariaDB, slurmctld and the slurmd of two nodes with two GPUs each. All
state is in one folder, the cluster uses its own ports and sockets, and the configuration of the
host is neither read nor written: a SLURM installed on the machine is not affected. The GPUs are
simulated: SLURM allocates and counts device files, but no job can compute on them.

In pytest, `with Cluster() as cluster:` gives a fixture its own cluster. The cluster is removed when
the block ends, and also when the process dies inside the block for any reason.

Every daemon runs in the foreground with its own working folder, the steps of SLURM inherit this
folder, and every job has SLURM_CONF and SLURMD_NODENAME in its environment. So the processes of a
cluster are found by its folder alone, no matter who started them, and pid files are not needed.

Tested with SLURM 22.05 of Debian 12, on cgroup v1 and v2.
"""

import argparse
import contextlib
import functools
import os
import random
import re
import secrets
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

T = TypeVar("T")

NODES = ("node1", "node2")
ACCOUNT = "research"
PACKAGES = (
    "slurmctld",
    "slurmd",
    "slurmdbd",
    "slurm-client",
    "slurm-wlm-basic-plugins",
    "slurm-wlm-mysql-plugin",
    "munge",
    "mariadb-server",
)
PROGRAMS = ("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd", "slurmstepd")

# Not in TMPDIR, which may differ under sudo. `up` recreates the folder, or fails.
DEFAULT_FOLDER = Path("/tmp/slurm-cluster")  # noqa: S108
# `up` writes this file to its folder, so that `down` cannot delete any other folder.
MARKER = "throw-away-slurm-cluster"
# The path of a socket may have 107 characters. The longest path of SLURM below the folder is similar
# to node1/node1_1234567.4294967294.
LONGEST_FOLDER = 70

CGROUPS = Path("/sys/fs/cgroup")
V1_CONTROLLERS = ("cpuacct", "freezer", "memory")

SLURM_CONF = """\
ClusterName=throwaway
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={slurmctld_port}
SlurmctldPidFile={folder}/slurmctld/pid
SlurmctldLogFile={folder}/log/slurmctld.log
StateSaveLocation={folder}/slurmctld
SlurmdPidFile={folder}/%n/pid
SlurmdLogFile={folder}/log/%n.log
SlurmdSpoolDir={folder}/%n
SlurmUser=root
MailProg=/bin/true
# Otherwise the daemons would listen on every interface.
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
# With cgroup v2 two clusters on one machine share the cgroups of a node: job ids must differ.
FirstJobId={slurmctld_port}00

AuthType=auth/munge
# A requeued job waits until its old credential has expired: two minutes by default.
AuthInfo=socket={folder}/munged/socket,cred_expire=10

AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={slurmdbd_port}
# With munge this is the socket, not a password; AuthInfo is not used for slurmdbd.
AccountingStoragePass={folder}/munged/socket
AccountingStorageTRES=gres/gpu
# Snakemake writes rule and wildcards of a job there.
AccountingStoreFlags=job_comment
# Unknown accounts are refused and limits count, as on most clusters.
AccountingStorageEnforce=associations,limits,qos

SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ProctrackType={proctrack}
TaskPlugin={task}
JobAcctGatherType={job_acct_gather}
JobAcctGatherFrequency=1

PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# Tests wait for all of these.
SchedulerParameters=batch_sched_delay=0,bf_interval=5,sched_interval=5
SlurmdTimeout=15
KillWait=5
# A node that was down comes back by itself.
ReturnToService=2

# Nodes may claim more than the machine has.
SlurmdParameters=config_overrides
NodeName=DEFAULT CPUs=4 RealMemory=40000 Gres=gpu:a100:2
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={node1_port}
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={node2_port}

PartitionName=DEFAULT Nodes=ALL DefMemPerCPU=500 DefaultTime=10 MaxTime=1-0
PartitionName=cpu Default=YES
PartitionName=gpu PriorityTier=1
PartitionName=urgent PriorityTier=10
"""

GRES_CONF = """\
NodeName=node1 Name=gpu Type=a100 File={folder}/node1/gpu[0-1]
NodeName=node2 Name=gpu Type=a100 File={folder}/node2/gpu[0-1]
"""

SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munged/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={slurmdbd_port}
PidFile={folder}/slurmdbd/pid
LogFile={folder}/log/slurmdbd.log
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
"""

# The keys are the values of Cluster.cgroup.
CGROUP_CONF = {
    "cgroup/v1": """\
CgroupPlugin=cgroup/v1
CgroupMountpoint={folder}/cgroup
ConstrainRAMSpace=yes
# Otherwise a job that exceeds its memory would continue in swap.
ConstrainSwapSpace=yes
""",
    "cgroup/v2": """\
CgroupPlugin=cgroup/v2
# systemd may be missing, and would not clean up after a killed cluster.
IgnoreSystemd=yes
CgroupAutomount=yes
ConstrainRAMSpace=yes
ConstrainSwapSpace=yes
""",
    "": """\
# slurmd needs a plugin, and only this plugin works without cgroups.
CgroupPlugin=cgroup/v1
""",
}


class ClusterError(RuntimeError):
    """The cluster cannot do what was requested; the message says why."""


class _Process(NamedTuple):
    """A process of a cluster: its program, or "job", and the daemon or node that it belongs to."""

    pid: int
    program: str
    place: str


def wait_for(condition: Callable[[], T], timeout: float, what: str) -> T:
    """Poll `condition` until it is true, and return its result.

    Raises:
        ClusterError: the condition was not true within `timeout` seconds; `what` describes the
            condition in the message.
    """
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise ClusterError(f"this did not happen within {timeout:g} s: {what}")
        time.sleep(0.1)
    return result


def missing_packages() -> list[str]:
    """Return the Debian packages that a cluster needs and that are not installed."""
    if not shutil.which("dpkg-query"):
        return list(PACKAGES)
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *PACKAGES]
    # dpkg-query fails if it does not know a package, but still lists the others.
    listed = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    return [package for package in PACKAGES if f"{package} installed" not in listed]


def obstacle() -> str:
    """Return in one line why no cluster can run here; "" if one can."""
    reasons = []
    if os.geteuid() != 0:
        reasons.append("a SLURM cluster needs root, because slurmd starts each job as its user")
    if missing := missing_packages():
        reasons.append(
            f"missing packages: {' '.join(missing)} (`make cluster-install` as root gets them)"
        )
    return "; ".join(reasons)


def install(packages: Sequence[str]) -> None:
    """Install Debian packages without starting their services."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ClusterError(f"only root on Debian or Ubuntu can install {' '.join(packages)}")
    # Packages ask this program whether they may start a service; containers often have it already.
    policy = Path("/usr/sbin/policy-rc.d")
    original = policy.with_name("policy-rc.d.before-slurm-cluster")
    if policy.exists() and not original.exists():
        policy.rename(original)
    try:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        apt_get = ["apt-get", "--quiet", "--yes", "-o", "DPkg::Lock::Timeout=120"]
        for command in (["update"], ["install", "--no-install-recommends", *packages]):
            _run([*apt_get, *command], {"DEBIAN_FRONTEND": "noninteractive"}, timeout=900)
    finally:
        policy.unlink(missing_ok=True)
        if original.exists():
            original.rename(policy)


class Cluster:
    """A SLURM cluster whose whole state is in one folder.

    Every method works from any process of root, even if another process started the cluster.

    Attributes:
        folder: exists only while the cluster is up; the logs of the daemons are in `log`.
        env: the environment variables that make the commands of SLURM use this cluster.
    """

    def __init__(self, folder: Path | None = None) -> None:
        if folder is None:
            folder = Path(tempfile.gettempdir()) / f"slurm-{secrets.token_hex(4)}"
        self.folder = folder.resolve()
        path = os.environ.get("PATH", os.defpath)
        self.env = {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": f"{self.folder}/bin:{path}",
        }
        self._daemons: list[subprocess.Popen[bytes]] = []
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *exception: object) -> None:
        self.down()

    def up(self) -> None:
        """Start a new cluster, replace an existing one, and wait for the nodes.

        If this process ends without calling `down` or `keep`, even by SIGKILL, the cluster is
        removed.
        """
        if reasons := obstacle():
            raise ClusterError(reasons)
        if len(str(self.folder)) > LONGEST_FOLDER:
            raise ClusterError(f"the path {self.folder} is too long for the sockets in it")
        self.down()
        try:
            self._start_guard()
            self._make_folder()
            self._start_munged()
            self._start_mariadbd()
            self._start_slurmdbd()
            self.start_slurmctld()
            for node in NODES:
                self.start_slurmd(node)
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Kill all processes of the cluster and delete its folder, if they exist."""
        if self.folder.exists():
            # A killed `up` may leave an empty folder.
            ours = (self.folder / MARKER).exists() or not any(self.folder.iterdir())
            if not ours:
                raise ClusterError(
                    f"{self.folder} is not the folder of a cluster. Choose another folder."
                )
            if os.geteuid() != 0:
                raise ClusterError(f"only root can remove the cluster in {self.folder}")
        # Nothing that the processes could save is kept, so they are killed.
        self._kill(lambda process: True)
        for daemon in self._daemons:
            daemon.wait()
        self._daemons.clear()
        self._remove_cgroups()
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.keep()

    def keep(self) -> None:
        """Keep the cluster running after this process ends."""
        if self._guard:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None

    @functools.cached_property
    def cgroup(self) -> str:
        """The mechanism that enforces the memory limit of jobs: "cgroup/v1", "cgroup/v2", or none ("")."""
        if all(os.access(CGROUPS / controller / "tasks", os.W_OK) for controller in V1_CONTROLLERS):
            return "cgroup/v1"
        controllers = CGROUPS / "cgroup.subtree_control"
        if not controllers.exists():
            return ""
        try:
            # slurmd does the same, and does not start if this is forbidden, as in most containers.
            controllers.write_text("+cpu +cpuset +memory")
        except OSError:
            return ""
        return "cgroup/v2"

    def run(self, *command: str) -> str:
        """Run a command with the environment of this cluster, and return its output.

        Raises:
            ClusterError: the command failed; the message contains its output.
        """
        return _run(command, self.env)

    def node_states(self) -> dict[str, str]:
        """Return the state of each node as sinfo reports it: "idle", "mixed", "down*" and so on."""
        lines = self.run("sinfo", "--noheader", "--Node", "--partition=cpu", "--format=%N %T")
        return dict(line.split() for line in lines.splitlines())

    def start_slurmctld(self) -> None:
        """Start slurmctld and wait until it answers."""
        self._start("slurmctld", ["slurmctld", "-D"], lambda: self._succeeds("scontrol", "ping"))

    def stop_slurmctld(self) -> None:
        """Stop slurmctld, which saves its state first."""

        def running() -> list[_Process]:
            return [process for process in self._processes() if process.place == "slurmctld"]

        for process in running():
            _send(signal.SIGTERM, process)
        wait_for(lambda: not running(), 60, "slurmctld ends")

    def freeze_slurmctld(self) -> None:
        """Suspend slurmctld, so that it does not answer until it is thawed."""
        self._signal_slurmctld(signal.SIGSTOP)

    def thaw_slurmctld(self) -> None:
        """Resume a frozen slurmctld, and wait until it answers."""
        self._signal_slurmctld(signal.SIGCONT)
        wait_for(lambda: self._succeeds("scontrol", "ping"), 60, "slurmctld answers")

    def _signal_slurmctld(self, number: signal.Signals) -> None:
        for process in self._processes():
            if process.place == "slurmctld":
                _send(number, process)

    def start_slurmd(self, node: str) -> None:
        """Start the slurmd of a node and wait until the node accepts jobs."""
        up = {"idle", "mixed", "allocated", "completing"}
        self._start(node, ["slurmd", "-D", "-N", node], lambda: self.node_states()[node] in up)

    def kill_slurmd(self, node: str, with_jobs: bool = False) -> None:
        """Kill the slurmd of a node with SIGKILL; SLURM notices it after SlurmdTimeout.

        The jobs continue, as when the daemon crashes. With `with_jobs` they are killed at the same
        time, as when the node loses power.
        """
        programs = (*PROGRAMS, "job") if with_jobs else ("slurmd",)
        self._kill(lambda process: process.place == node and process.program in programs)

    def _start_guard(self) -> None:
        """Start a process that removes the cluster when this process has died.

        It waits for the end of its input, which comes no matter how this process dies.
        """
        self._guard = subprocess.Popen(
            [sys.executable, __file__, "down", "--folder", self.folder, "--at-end-of-input"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _make_folder(self) -> None:
        """Create the files and folders that the daemons need."""
        self.folder.mkdir(parents=True)
        (self.folder / MARKER).touch()
        for name in ("log", "munged", "mariadbd", "slurmdbd", "slurmctld", *NODES):
            (self.folder / name).mkdir()
        for node in NODES:
            for gpu in ("gpu0", "gpu1"):
                # SLURM accepts only device files; each of these is a copy of /dev/null.
                os.mknod(self.folder / node / gpu, 0o666 | stat.S_IFCHR, os.makedev(1, 3))

        names = ("slurmctld_port", "slurmdbd_port", "node1_port", "node2_port")
        facts: dict[str, object] = dict(zip(names, _free_ports(len(names)), strict=True))
        facts["folder"] = self.folder
        facts["host"] = socket.gethostname().split(".")[0]
        facts["proctrack"] = "proctrack/cgroup" if self.cgroup else "proctrack/linuxproc"
        facts["task"] = "task/cgroup" if self.cgroup else "task/none"
        facts["job_acct_gather"] = f"jobacct_gather/{'cgroup' if self.cgroup else 'linux'}"
        files = {
            "slurm": SLURM_CONF,
            "gres": GRES_CONF,
            "slurmdbd": SLURMDBD_CONF,
            "cgroup": CGROUP_CONF[self.cgroup],
        }
        for name, text in files.items():
            (self.folder / f"{name}.conf").write_text(text.format_map(facts))
        # slurmdbd requires this, because the file may contain a password.
        (self.folder / "slurmdbd.conf").chmod(0o600)
        # Snakemake's jobstep plugin 0.6.1 hides SLURM_CONF from the srun of a job step. Without it,
        # srun would look for the cluster of the machine. This srun sets it again.
        srun = self.folder / "bin/srun"
        srun.parent.mkdir()
        real = shutil.which("srun")
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {real} "$@"\n')
        srun.chmod(0o755)
        if self.cgroup == "cgroup/v1":
            self._make_v1_cgroups()

    def _v1_cgroups(self) -> dict[str, Path]:
        """Return the parent cgroup of SLURM for each controller."""
        name = "slurm" + str(self.folder).replace("/", "-")
        return {controller: CGROUPS / controller / name for controller in V1_CONTROLLERS}

    def _make_v1_cgroups(self) -> None:
        """Create a mount point for SLURM in which each controller is a cgroup of this cluster."""
        mount_point = self.folder / "cgroup"
        mount_point.mkdir()
        for controller, cgroup in self._v1_cgroups().items():
            cgroup.mkdir(exist_ok=True)
            (mount_point / controller).symlink_to(cgroup)

    def _remove_cgroups(self) -> None:
        # With v2, SLURM chooses the cgroups by the name of the node.
        v2_cgroups = [CGROUPS / "system.slice" / f"{node}_slurmstepd.scope" for node in NODES]
        cgroups = [*self._v1_cgroups().values(), *v2_cgroups]

        def removed() -> bool:
            for cgroup in cgroups:
                for folder, _, _ in os.walk(cgroup, topdown=False):
                    with contextlib.suppress(OSError):
                        Path(folder).rmdir()
            return not any(cgroup.exists() for cgroup in cgroups)

        # The cgroups of v2 remain while another cluster has processes in them.
        with contextlib.suppress(ClusterError):
            wait_for(removed, 5, "the cgroups are empty")

    def _start_munged(self) -> None:
        folder = self.folder / "munged"
        key = folder / "key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        command = [
            "munged",
            "--foreground",
            # Otherwise it refuses to run if a group may write to one of the parent folders.
            "--force",
            f"--key-file={key}",
            f"--socket={folder}/socket",
            f"--pid-file={folder}/pid",
            f"--seed-file={folder}/seed",
        ]
        ping = ["munge", "--no-input", f"--socket={folder}/socket"]
        self._start("munged", command, lambda: self._succeeds(*ping))

    def _start_mariadbd(self) -> None:
        folder = self.folder / "mariadbd"
        options = ["--no-defaults", "--user=root", f"--datadir={folder}/data"]
        # A database that starts deletes the temporary tables of all others in its folder for them.
        options.append(f"--tmpdir={folder}")
        # Root needs no password, and other users have no access.
        authentication = ["--auth-root-authentication-method=socket", "--skip-test-db"]
        self.run("mariadb-install-db", *options, *authentication)
        command = [
            "mariadbd",
            *options,
            f"--pid-file={folder}/pid",
            f"--socket={folder}/socket",
            "--skip-networking",
        ]
        ping = ["mariadb-admin", "--no-defaults", f"--socket={folder}/socket", "ping"]
        self._start("mariadbd", command, lambda: self._succeeds(*ping))

    def _start_slurmdbd(self) -> None:
        # slurmdbd.conf has no option for the socket of the database, but the client library reads this.
        env = {"MYSQL_UNIX_PORT": f"{self.folder}/mariadbd/socket"}
        ping = ["sacctmgr", "--noheader", "list", "cluster"]
        self._start("slurmdbd", ["slurmdbd", "-D"], lambda: self._succeeds(*ping), env)
        # Accounts are added here because slurmctld reads them when it starts.
        users = {"root", os.environ.get("SUDO_USER", "root")}
        for entity in (
            ["cluster", "throwaway"],
            ["account", ACCOUNT],
            ["user", ",".join(users), f"account={ACCOUNT}"],
        ):
            self.run("sacctmgr", "--immediate", "add", *entity)

    def _start(
        self,
        name: str,
        command: Sequence[str],
        ready: Callable[[], bool],
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start a daemon in its folder and wait until it is ready."""
        # In addition to SLURM's own logs, which have timestamps but lack the first lines.
        output = self.folder / "log" / f"{name}.out"
        with output.open("ab") as stream:
            daemon = subprocess.Popen(
                command,
                cwd=self.folder / name,
                env=_environment(self.env, env),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._daemons.append(daemon)

        def is_ready() -> bool:
            if daemon.poll() is not None:
                raise ClusterError(f"{name} exited with {daemon.returncode}")
            return ready()

        try:
            wait_for(is_ready, 60, f"{name} is ready")
        except ClusterError as error:
            end = _last_lines(output.read_text(errors="replace"))
            raise ClusterError(f"{error}; the end of its output:\n{end}") from error

    def _succeeds(self, *command: str) -> bool:
        try:
            self.run(*command)
        except ClusterError:
            return False
        return True

    def _processes(self) -> list[_Process]:
        """Find the processes of the cluster, including the processes of its jobs."""
        conf = f"SLURM_CONF={self.env['SLURM_CONF']}"
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            # Processes may end in the meantime, and kernel processes have no program.
            with contextlib.suppress(OSError):
                program = re.split("[- ]", (entry / "exe").readlink().name)[0]
                cwd = Path(str((entry / "cwd").readlink()).removesuffix(" (deleted)"))
                environ = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
                if program in PROGRAMS and self.folder in cwd.parents:
                    place = cwd.relative_to(self.folder).parts[0]
                    found.append(_Process(int(entry.name), program, place))
                elif conf in environ:
                    nodes = [node for node in NODES if f"SLURMD_NODENAME={node}" in environ]
                    found += [_Process(int(entry.name), "job", node) for node in nodes]
        return found

    def _kill(self, chosen: Callable[[_Process], bool]) -> None:
        """Kill the chosen processes and the processes that they start in the meantime."""

        def gone() -> bool:
            alive = [process for process in self._processes() if chosen(process)]
            for process in alive:
                _send(signal.SIGKILL, process)
            return not alive

        wait_for(gone, 30, "the killed processes end")


def _send(number: signal.Signals, process: _Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)


def _free_ports(count: int) -> list[int]:
    """Find unused ports.

    They are below the ports of outgoing connections. Otherwise a connection could take the port of
    a daemon while a test has stopped the daemon.
    """
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports: list[int] = []
    for port in random.sample(range(ephemeral // 2, ephemeral), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            ports.append(port)
        if len(ports) == count:
            return ports
    raise ClusterError("no free ports were found")


def _environment(*changes: Mapping[str, str] | None) -> dict[str, str]:
    env = dict(os.environ)
    for change in changes:
        env |= change or {}
    # The daemons are in the last two folders, which `su` may omit.
    env["PATH"] = f"{env.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return env


def _run(command: Sequence[str], env: Mapping[str, str] | None = None, timeout: float = 60) -> str:
    try:
        done = subprocess.run(
            command,
            env=_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterError(str(error)) from error
    if done.returncode:
        status = f"{shlex.join(command)} exited with {done.returncode}"
        raise ClusterError(f"{status}\n{_last_lines(done.stdout)}")
    return done.stdout


def _last_lines(text: str, count: int = 15) -> str:
    """Return the last lines and, before them, those that name an error; MariaDB ends with advice."""
    lines = text.splitlines()
    errors = [line for line in lines[:-count] if "ERROR" in line]
    return "\n".join([*errors[:count], *lines[-count:]])


def _install_missing() -> None:
    """Install missing packages, or exit with the reason why no cluster can run here."""
    try:
        if os.geteuid() == 0 and (missing := missing_packages()):
            print("installing", *missing, flush=True)
            install(missing)
    except ClusterError as error:
        sys.exit(f"cluster.py: {error}")
    if reason := obstacle():
        sys.exit(f"cluster.py: {reason}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="install the required Debian packages (as root)")
    up = commands.add_parser("up", help="start a new cluster; replace a running one")
    down = commands.add_parser(
        "down", help="kill the cluster and all its jobs, and delete its folder"
    )
    down.add_argument("--at-end-of-input", action="store_true", help=argparse.SUPPRESS)
    env = commands.add_parser(
        "env", help='print the settings for a shell: eval "$(cluster.py env)"'
    )
    for command in (up, down, env):
        command.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="%(default)s")
    arguments = parser.parse_args()
    if arguments.command == "install":
        _install_missing()
        return
    cluster = Cluster(arguments.folder)

    # Signals raise exceptions, so that a partly started cluster is removed.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    # Users other than root need access to the sockets and slurm.conf.
    os.umask(0o022)
    try:
        if arguments.command == "up":
            began = time.monotonic()
            cluster.up()
            cluster.keep()
            memory = f"enforced by {cluster.cgroup}" if cluster.cgroup else "not enforced"
            print(f"up after {time.monotonic() - began:.0f} s, memory {memory}, logs in", end=" ")
            print(cluster.folder / "log")
        elif arguments.command == "down":
            if arguments.at_end_of_input:
                sys.stdin.buffer.read()
            cluster.down()
        elif not (cluster.folder / MARKER).exists():
            raise ClusterError(f"there is no cluster in {cluster.folder}. Run `up` to start one.")
        else:
            for name, value in cluster.env.items():
                print(f"export {name}={shlex.quote(value)}")
    except (ClusterError, OSError) as error:
        sys.exit(f"cluster.py: {error}")


if __name__ == "__main__":
    main()
