"""A throw-away Slurm cluster of two nodes on this machine, on loopback, without accounting.

    python tests/support/slurm_cluster.py start     # then: sinfo, sbatch, snakemake --profile profiles/slurm
    python tests/support/slurm_cluster.py stop

Needs root and Debian's packages slurmctld, slurmd, slurm-client and munge. All of it lives in
/run/promptflux-slurm, but for the file where Slurm looks for its settings; a cluster that is
configured there already is left alone.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

STATE = Path("/run/promptflux-slurm")
CONFIG = Path("/etc/slurm/slurm.conf")
NODES = ("node1", "node2")
CPUS = 4  # of a node, whatever the machine has
SLURM_CONF = f"""\
# Of tests/support/slurm_cluster.py, which removes it again.
ClusterName=promptflux
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={STATE}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={STATE}/state
SlurmctldPidFile={STATE}/slurmctld.pid
SlurmctldLogFile={STATE}/slurmctld.log
SlurmdPidFile={STATE}/%n.pid
SlurmdLogFile={STATE}/%n.log
SlurmdSpoolDir={STATE}/%n
SlurmctldPort=16817
SlurmdTimeout=10
KillWait=1
MinJobAge=300
SwitchType=switch/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=5
SlurmdParameters=config_overrides
ReturnToService=2
NodeName=node[1-2] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[17001-17002] CPUs={CPUS} RealMemory=64000
PartitionName=cpu Nodes=node[1-2] Default=YES LLN=YES State=UP
"""


def missing() -> str:
    """Why no cluster can be started here; empty if one can."""
    programs = [name for name in ("slurmctld", "slurmd", "munged", "sbatch") if not program(name)]
    if programs:
        return f"{', '.join(programs)} not found; `make test-slurm` installs what is missing."
    if os.geteuid():
        return "starting a Slurm cluster needs root."
    if CONFIG.exists() and not ours():
        return f"{CONFIG} belongs to a cluster already."
    return ""


def start() -> None:
    """Start the daemons and return when a job has run; RuntimeError with their logs if none does."""
    stop()
    for folder in (STATE, STATE / "state", *(STATE / node for node in NODES)):
        folder.mkdir(parents=True, mode=0o755)
    start_munge()
    CONFIG.parent.mkdir(exist_ok=True)
    CONFIG.write_text(SLURM_CONF)
    subprocess.run([program("slurmctld")], check=True)
    for node in NODES:
        start_node(node)
    wanted = " ".join(["idle"] * len(NODES))
    wait(lambda: " ".join(slurm("sinfo", "-h", "-N", "-o", "%t").split()) == wanted, "both nodes to be idle")
    # With wrong settings srun ends well though nothing ran.
    wait(lambda: slurm("srun", "-N2", "echo", "ran").split() == ["ran", "ran"], "a first job")


def start_node(node: str) -> None:
    subprocess.run([program("slurmd"), "-N", node], check=True)


def lose_node(node: str) -> None:
    """Kill the node's daemon and all that runs on it, as a power cut would."""
    end(STATE / f"{node}.pid", signal.SIGKILL)
    for job in slurm("squeue", "--noheader", f"--nodelist={node}", "--format=%i").split():
        for process in [*keepers_of(job), *processes_of(job)]:
            process.kill()


def processes_of(job: str) -> list[psutil.Process]:
    """The processes of a Slurm job on this machine."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("SLURM_JOB_ID") == job:
                found.append(process)
    return found


def keepers_of(job: str) -> list[psutil.Process]:
    """The processes of Slurm itself that look after a job."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if " ".join(process.cmdline()).startswith(f"slurmstepd: [{job}."):
                found.append(process)
    return found


def start_munge() -> None:
    """Munge with a key and a socket of its own; it insists on owning them."""
    folder = STATE / "munge"
    folder.mkdir(mode=0o700)
    (folder / "key").write_bytes(os.urandom(1024))
    (folder / "key").chmod(0o600)
    subprocess.run(
        [
            program("munged"), f"--key-file={folder}/key", f"--log-file={folder}/log",
            f"--pid-file={folder}/pid", f"--seed-file={folder}/seed", f"--socket={STATE}/munge.socket",
            "--force",
        ],
        check=True,
    )  # fmt: skip


def stop() -> None:
    """End the daemons and the jobs of our cluster, and remove its files."""
    if ours():
        slurm("scancel", "--full", "--user=root")
        for pid_file in (
            *(STATE / f"{node}.pid" for node in NODES),
            STATE / "slurmctld.pid",
            STATE / "munge/pid",
        ):
            end(pid_file)
        CONFIG.unlink()
    shutil.rmtree(STATE, ignore_errors=True)


def end(pid_file: Path, by: int = signal.SIGTERM) -> None:
    """End the daemon of a pid file, and wait until it is gone."""
    try:
        pid = int(pid_file.read_text())
        os.kill(pid, by)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return
    wait(lambda: not Path(f"/proc/{pid}").exists(), f"{pid_file.stem} to end")


def ours() -> bool:
    return CONFIG.exists() and CONFIG.read_text() == SLURM_CONF


def program(name: str) -> str | None:
    """The path of a program, where Debian keeps daemons too."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def slurm(*command: str) -> str:
    """What a Slurm command prints; it may fail while the cluster starts or stops."""
    return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout


def wait(condition, what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            logs = "\n".join(f"{path}:\n{path.read_text()[-3000:]}" for path in STATE.glob("*.log"))
            raise RuntimeError(f"waited {seconds} s for {what}\n{logs}")
        time.sleep(0.1)


if __name__ == "__main__":
    if sys.argv[1:] not in (["start"], ["stop"]):
        sys.exit(__doc__)
    if reason := missing():
        sys.exit(f"No cluster can be started here: {reason}")
    {"start": start, "stop": stop}[sys.argv[1]]()
