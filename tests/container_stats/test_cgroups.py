"""The files of a cgroup as the kernel writes them, in folders made for the test, and this process's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from container_stats.cgroups import (
    container_id_of,
    container_id_of_mounts,
    cpu_quota,
    folders_of,
    memory_limit,
    quota_throttling,
    reader_of,
    usage_of_cgroup,
)
from container_stats.cpu_sets import cpus_in
from container_stats.own_container import OwnContainer
from container_stats.usage import Memory, Throttling

ID = "0123456789abcdef" * 4
HOST_BYTES = 1 << 34
V2 = {
    "cpu.stat": "usage_usec 1500000\nuser_usec 1\nsystem_usec 2\nnr_periods 40\nnr_throttled 10\nthrottled_usec 250\n",
    "cpu.max": "50000 100000\n",
    "memory.current": "300000000\n",
    "memory.max": "536870912\n",
    "memory.stat": "anon 180000000\nfile 110000000\ninactive_file 90000000\npgfault 51000\npgmajfault 12\n",
    "io.stat": "259:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n253:1 \n",
    "pids.current": "9\n",
    "pids.max": "max\n",
}
V1 = {
    "cpuacct/docker/x/cpuacct.usage": "1500000000\n",
    "cpu/docker/x/cpu.stat": "nr_periods 40\nnr_throttled 10\nthrottled_time 250000\n",
    "cpu/docker/x/cpu.cfs_quota_us": "-1\n",
    "cpu/docker/x/cpu.cfs_period_us": "100000\n",
    "cpu/docker/cpu.cfs_quota_us": "150000\n",
    "cpu/docker/cpu.cfs_period_us": "100000\n",
    "memory/docker/x/memory.usage_in_bytes": "300000000\n",
    "memory/docker/x/memory.limit_in_bytes": "9223372036854771712\n",
    "memory/docker/x/memory.stat": "cache 1\ntotal_cache 110000000\ntotal_rss 180000000\ntotal_inactive_file 90000000\n"
    "total_pgfault 51000\ntotal_pgmajfault 12\n",
    "blkio/docker/x/blkio.throttle.io_service_bytes_recursive": "259:0 Read 4096\n259:0 Write 8192\n259:0 Total 9\n",
    "pids/docker/x/pids.current": "9\n",
    "pids/docker/x/pids.max": "100\n",
}


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_files_of_version_2_are_read(tmp_path: Path) -> None:
    """All figures of a cgroup of version 2, with limits above it counting where they are lower."""
    written(tmp_path, {f"pod/{ID}/{name}": text for name, text in V2.items()} | {"pod/cpu.max": "20000 100000\n"})
    folders = folders_of(f"0::/pod/{ID}\n", tmp_path)
    usage = usage_of_cgroup(reader_of(folders), 7, HOST_BYTES, 4)
    assert usage is not None
    assert (usage.cpu_ns, usage.pids, usage.pids_limit, usage.faults) == (1_500_000_000, 9, None, (51000, 12))
    assert usage.throttling == Throttling(40, 10, 250_000)
    assert usage.memory == Memory(300000000, 536870912, 90000000, 180000000, 110000000)
    assert usage.disk == {"259:0": (4096, 8192)}
    assert cpu_quota(folders) == 0.2
    assert memory_limit(folders) == 536870912
    written(tmp_path, {"pod/cpu.stat": "usage_usec 9\nnr_periods 80\nnr_throttled 60\nthrottled_usec 9\n"})
    assert quota_throttling(folders) == Throttling(80, 60, 9_000), "who waits for the lower quota is counted there"


def test_files_of_version_1_are_read(tmp_path: Path) -> None:
    """The same of version 1, a folder for each controller; a limit as large as can be is none."""
    written(tmp_path, V1)
    text = "".join(f"{n}:{name}:/docker/x\n" for n, name in enumerate(("cpu", "cpuacct", "memory", "blkio", "pids")))
    folders = folders_of(text + "9:name=systemd:/\n0::/\n", tmp_path)
    usage = usage_of_cgroup(reader_of(folders), 7, HOST_BYTES, 4)
    assert usage is not None
    assert (usage.cpu_ns, usage.pids, usage.pids_limit, usage.faults) == (1_500_000_000, 9, 100, (51000, 12))
    assert usage.throttling == Throttling(40, 10, 250_000)
    assert usage.memory == Memory(300000000, HOST_BYTES, 90000000, 180000000, 110000000)
    assert usage.disk == {"259:0": (4096, 8192)}
    assert cpu_quota(folders) == 1.5
    assert quota_throttling(folders) is None, "the cgroup above, whose quota it is, counts nothing here"
    assert memory_limit(folders) is None


def test_a_path_of_the_host_that_is_not_there_is_the_mounted_root(tmp_path: Path) -> None:
    """Inside a container the path may be the host's while the root is the container's own cgroup."""
    written(tmp_path, V2)
    folders = folders_of(f"0::/system.slice/docker-{ID}.scope\n", tmp_path)
    assert usage_of_cgroup(reader_of(folders), 7, HOST_BYTES, 4) is not None
    assert cpu_quota(folders) == 0.5


def test_without_files_there_is_no_usage(tmp_path: Path) -> None:
    """A system without cgroups is no error."""
    folders = folders_of("0::/\n", tmp_path)
    assert usage_of_cgroup(reader_of(folders), 7, HOST_BYTES, 4) is None
    assert cpu_quota(folders) is None
    assert folders_of("") == {}


@pytest.mark.parametrize(
    ("text", "container_id"),
    [
        (f"0::/system.slice/docker-{ID}.scope", ID),
        (f"12:cpu,cpuacct:/docker/{ID}\n1:name=systemd:/docker/{ID}", ID),
        (f"0::/machine.slice/libpod-{ID}.scope/container", ID),
        (f"0::/kubepods/besteffort/pod1/cri-containerd-{ID}.scope", ID),
        ("0::/user.slice/user-1000.slice/session-1.scope", None),
        (f"0::/{ID}{ID}", None),
        ("", None),
    ],
)
def test_the_id_of_the_container_is_in_the_path(text: str, container_id: str | None) -> None:
    """Docker's, Podman's and Kubernetes' ways to name a cgroup, with both drivers."""
    assert container_id_of(text) == container_id


def test_the_id_is_in_the_mounts_where_the_namespace_hides_it() -> None:
    """The files that engines mount into a container lie in a folder with its id."""
    line = f"1 2 8:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/sda1 rw"
    assert container_id_of_mounts(line) == ID
    assert container_id_of_mounts(line.replace("/containers/", "/overlay-containers/")) == ID
    assert container_id_of_mounts("1 2 8:1 / / rw - ext4 /dev/sda1 rw") is None


def test_a_container_reads_itself(tmp_path: Path) -> None:
    """Where no engine can be asked, the own cgroup is told under the container's id."""
    written(tmp_path, V2)
    own = OwnContainer(ID, "host", cgroups=tmp_path)
    own.read()
    written(tmp_path, {"cpu.stat": V2["cpu.stat"].replace("1500000", "1600000")})
    (subject,) = own.read()
    found = {reading.metric: reading.value for reading in subject.readings}
    assert dict(subject.resource) == {"host.name": "host", "container.id": ID, "container.name": "host"}
    assert found["container.cpu.time"] == 1.6
    assert found["container.cpu.limit"] == 0.5
    assert found["container.cpu.usage"] > 0
    assert found["container.memory.limit_utilization"] == pytest.approx(210000000 / 536870912)
    assert OwnContainer(None, "host", cgroups=tmp_path).read() == []


def test_this_process_has_a_cgroup_that_can_be_read() -> None:
    """The kernel that the tests run on writes its files as they are read here."""
    folders = folders_of(Path("/proc/self/cgroup").read_text())
    usage = usage_of_cgroup(reader_of(folders), 7, HOST_BYTES, os.cpu_count() or 1)
    assert usage is not None
    assert usage.cpu_ns > 0


@pytest.mark.parametrize(
    ("text", "cpus"), [("0-2,5", {0, 1, 2, 5}), ("3", {3}), ("", set()), ("a-b", set()), (" 1 , 2 ", {1, 2})]
)
def test_lists_of_cpus_are_read(text: str, cpus: set[int]) -> None:
    """Ranges and single ones; what is no such list names none."""
    assert cpus_in(text) == cpus
