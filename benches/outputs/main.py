#!/usr/bin/env python3
"""What it costs to make images of nodes: piflash against what one would do
by hand. One command, from the repository's top:

    python3 benches/outputs/main.py

It builds piflash (release) and a made image of 2.7 GB out of Debian's
packages (tests/vm/lab; needs mmdebstrap and some minutes, once), measures
wall time, processor time, peak memory and bytes written of every way, checks
that each result is what it should be, and prints a table of ratios. The chart
goes to target/bench-outputs/chart.svg (that of the README is one of these,
copied to benches/outputs/chart.svg). As root with loop devices it measures
reflinks on xfs and btrfs too. Needs about 25 GB in --dir.

    --image FILE   a raw image of a Raspberry Pi in place of the made one
    --program FILE a piflash that is built already
    --nodes 1,10   how many nodes (1,10,100)
    --preset N     effort of xz by hand (6, which is what the images have)
    --runs N       the median of how many runs (3)
"""

import argparse
import hashlib
import http.server
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import chart  # noqa: E402

TOP = Path(__file__).resolve().parents[2]
ENV = {
    "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
    "LC_ALL": "C.UTF-8",
    "SOURCE_DATE_EPOCH": "1781740800",
}
# Files that are put into an image by hand.
FILES = 60


class Cost:
    """What one run took."""

    def __init__(self, wall, cpu, peak, written):
        self.wall, self.cpu, self.peak = wall, cpu, peak
        self.written = written


def run(argv, env, cwd):
    """Runs a program; its cost, with that of its children."""
    began = time.monotonic()
    child = subprocess.Popen(
        argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = child.stderr.read().decode(errors="replace")
    # Dead, and not reaped: only now are its counters those of all of it.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    wall = time.monotonic() - began
    try:
        text = Path(f"/proc/{child.pid}/io").read_text()
        written = int(text.split("wchar: ")[1].split()[0])
    except (OSError, IndexError, PermissionError):
        written = None
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(argv)}: {child.returncode}\n{said}")
    cpu = usage.ru_utime + usage.ru_stime
    # At least that of this Python (20 MB), which it was before its exec.
    return Cost(wall, cpu, usage.ru_maxrss * 1024, written)


class Bench:
    def __init__(self, args):
        self.args, self.rows = args, []
        self.dir = Path(args.dir).resolve()
        self.env = dict(ENV, HOME=str(self.dir / "home"),
                        TMPDIR=str(self.dir / "tmp"),
                        PIFLASH_CACHE=str(self.dir / "cache"))
        for name in ("home", "tmp", "hand"):
            (self.dir / name).mkdir(parents=True, exist_ok=True)

    def measure(self, group, name, argv, runs=None):
        self.compare(group, [(name, argv)], runs=runs)

    def compare(self, group, ways, before=None, runs=None):
        """Runs each way in turn, a few times: what disturbs the machine for
        a while disturbs all of them. The median by wall time is taken."""
        costs = [[] for _ in ways]
        for _ in range(runs or self.args.runs):
            for (_, argv), all_costs in zip(ways, costs):
                if isinstance(argv, str):
                    argv = ["sh", "-euc", argv]
                if before:
                    before()
                os.sync()
                all_costs.append(run(argv, self.env, self.dir))
        for (name, _), all_costs in zip(ways, costs):
            wall = statistics.median_low([c.wall for c in all_costs])
            self.add(group, name, next(
                c for c in all_costs if c.wall == wall))

    def add(self, group, name, cost):
        self.rows.append((group, name, cost))
        print(f"  {name:<46} {cost.wall:8.2f} s", flush=True)

    # What is measured on.

    def program(self):
        if self.args.program:
            return str(Path(self.args.program).resolve())
        subprocess.run(["cargo", "build", "--release"], cwd=TOP, check=True)
        return str(TOP / "target/release/piflash")

    def stock(self):
        """The raw image, and its .img.xz of blocks, as it is published."""
        image = self.args.image
        if not image:
            lab = ["sh", "tests/vm/lab/build.sh", "raspios-trixie-full",
                   "amd64"]
            lab = subprocess.run(lab, cwd=TOP, check=True,
                                 stdout=subprocess.PIPE, text=True)
            image = Path(lab.stdout.strip()) / "image.img"
        raw = self.dir / "stock.img"
        subprocess.run(["cp", "--sparse=always", image, raw], check=True)
        packed = self.dir / "www/stock.img.xz"
        if not packed.exists():
            packed.parent.mkdir(exist_ok=True)
            print("packing the image as its vendor does: minutes", flush=True)
            # Blocks of 24 MiB, whatever number of processors packs them.
            command = f"xz -T0 -{self.args.preset} --block-size=24MiB -kc"
            with open(packed, "wb") as out:
                subprocess.run(command.split() + [raw], stdout=out,
                               check=True)
        return raw, packed

    def serve(self, packed):
        root = str(packed.parent)

        class Quiet(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args):
                super().__init__(*args, directory=root)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/{packed.name}"

    def inventory(self, url, packed, count):
        digest = hashlib.file_digest(open(packed, "rb"), "sha256").hexdigest()
        hosts = "".join(
            f"    node{n}: {{ansible_host: 10.0.{n // 200}.{n % 200 + 1}}}\n"
            for n in range(1, count + 1))
        path = self.dir / f"inventory-{count}.yml"
        path.write_text(
            f"all:\n  hosts:\n{hosts}  vars:\n    gateway: 10.0.0.254\n"
            f"    prefix: 16\n    ssh_authorized_keys: []\n    image: {url}\n"
            f"    image_sha256: {digest}\n")
        return path

    # By hand.

    def files(self):
        """A directory of as many files as piflash puts into an image."""
        tree = self.dir / "hand/cluster"
        tree.mkdir(exist_ok=True)
        for n in range(FILES):
            (tree / str(n)).write_text("a file of a node\n" * 20)
        return tree

    def by_hand(self, image):
        """Commands that put these files into an image."""
        def start(number):
            table = json.loads(subprocess.run(
                ["sfdisk", "-J", image], env=self.env, check=True,
                stdout=subprocess.PIPE).stdout)
            parts = table["partitiontable"]["partitions"]
            return parts[number]["start"] * 512

        tree = self.files()
        script = self.dir / "hand/debugfs"
        lines = ["mkdir /etc/cluster"]
        lines += [f"write {tree}/{n} /etc/cluster/{n}" for n in range(FILES)]
        script.write_text("\n".join(lines) + "\n")
        return (f"debugfs -w -f {script} '{{}}?offset={start(1)}' "
                f">/dev/null 2>&1; mcopy -o -i '{{}}@@{start(0)}' "
                f"{tree}/0 ::cluster.txt")

    def guestfish(self, image):
        """The same in a virtual machine. Starting it is most of the work."""
        tree = self.files()
        return ("LIBGUESTFS_BACKEND=direct "
                "LIBGUESTFS_BACKEND_SETTINGS=force_tcg "
                f"guestfish --format=raw -a {image} run : "
                "mount /dev/sda2 / : mount /dev/sda1 /boot/firmware : "
                f"copy-in {tree} /etc : "
                f"upload {tree}/0 /boot/firmware/cluster.txt")

    def report(self):
        return [
            {"group": group, "name": name, "wall": cost.wall,
             "cpu": cost.cpu, "peak": cost.peak, "written": cost.written}
            for group, name, cost in self.rows]


def check_same(command, image):
    """Checks that what a command prints is the image."""
    subprocess.run(["sh", "-c", f"{command} | cmp - {image}"], check=True,
                   env=ENV)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--image")
    parser.add_argument("--program")
    parser.add_argument("--dir", default=TOP / "target/bench-outputs")
    parser.add_argument("--nodes", default="1,10,100")
    parser.add_argument("--preset", type=int, default=6)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    bench = Bench(args)
    program = bench.program()
    raw, packed = bench.stock()
    hand = bench.by_hand(raw)
    url = bench.serve(packed)
    out = bench.dir / "build/images"
    node = out / "node1.img"

    def piflash(count, *more):
        inventory = bench.inventory(url, packed, count)
        return [program, "--quiet", "-i", str(inventory), "build", "--all",
                *more]

    plain = ["--no-checksums"]
    one = "one node: .img.xz"
    shutil.rmtree(bench.dir / "cache", ignore_errors=True)
    bench.measure("once", "piflash: download, verify, prepare for .xz",
                  piflash(1, "--format=xz"), runs=1)
    bench.compare(one, [
        ("piflash", piflash(1, "--format=xz", *plain)),
        ("piflash, with SHA-256 of file and image",
         piflash(1, "--format=xz"))])
    run(piflash(1, "--format=xz,img"), bench.env, bench.dir)
    check_same(f"xz -dc {node}.xz", node)
    size = (out / "node1.img.xz").stat().st_size
    copy = bench.dir / "hand/node.img"
    bench.measure(
        one, f"xz -dc, debugfs and mcopy, xz -T0 -{args.preset}",
        f"xz -dcT0 {packed} >{copy}; {hand.format(copy, copy)}; "
        f"xz -fkT0 -{args.preset} {copy}", runs=1)
    theirs = Path(f"{copy}.xz").stat().st_size

    bench.measure("once", "piflash: prepare for .zst",
                  piflash(1, "--format=zst"), runs=1)
    bench.measure("one node: .img.zst", "piflash",
                  piflash(1, "--format=zst", *plain))
    bench.measure("one node: .img.zst", "debugfs and mcopy, zstd -T0 -9",
                  f"cp --sparse=always {raw} {copy}; "
                  f"{hand.format(copy, copy)}; zstd -qfT0 -9 {copy}", runs=1)

    def clear():
        copy.unlink(missing_ok=True)
        node.unlink(missing_ok=True)

    by_hand = f"cp --sparse=always --reflink=never {raw} {copy}"
    ways = [("piflash", piflash(1, *plain)),
            ("cp --sparse, sync (the copy alone)", f"{by_hand}; sync {copy}"),
            ("cp --sparse, debugfs and mcopy, sync",
             f"{by_hand}; {hand.format(copy, copy)}; sync {copy}")]
    if shutil.which("guestfish"):
        ways.append(("cp --sparse, guestfish (no KVM), sync",
                     f"{by_hand}; {bench.guestfish(copy)}; sync {copy}"))
    else:
        print("  NOT MEASURED: guestfish is not installed")
    if shutil.which("qemu-img"):
        ways.append(("qemu-img convert, sync (the copy alone)",
                     f"qemu-img convert -f raw -O raw {raw} {copy}; "
                     f"sync {copy}"))
    bench.compare("one node: .img", ways, before=clear)
    ways = [("piflash, with the image", piflash(1, "--bmap", *plain))]
    if shutil.which("bmaptool"):
        ways.append(("bmaptool create (the map alone)",
                     ["bmaptool", "create", "-o", f"{copy}.bmap", raw]))
    bench.compare("block map", ways, before=clear)
    for kind, make in (("xfs", "mkfs.xfs -q"), ("btrfs", "mkfs.btrfs -q")):
        reflinks(bench, kind, make, program, raw, hand)
    for count in (int(n) for n in args.nodes.split(",")):
        free = shutil.disk_usage(bench.dir).free
        if count * size > free:
            print(f"  NOT MEASURED: {count} nodes need {count * size} bytes, "
                  f"{free} are free")
        elif count > 1:
            bench.measure(f"{count} nodes: .img.xz", "piflash",
                          piflash(count, "--format=xz", *plain), runs=1)
            for path in out.glob("node*.img.xz"):
                path.unlink()
    print(f"\nsize of .img.xz: piflash {size}, by hand {theirs} "
          f"({100 * size / theirs - 100:+.2f} %)\n")
    print(chart.table(bench.report()))
    target = bench.dir / "chart.svg"
    target.write_text(chart.svg(bench.report()))
    (bench.dir / "results.json").write_text(json.dumps(bench.report()))
    print(f"chart: {target}")


def reflinks(bench, kind, make, program, raw, hand):
    """On a file system that can share blocks."""
    if os.geteuid() != 0 or not shutil.which(make.split()[0]):
        print(f"  NOT MEASURED: {kind} needs root and {make.split()[0]}")
        return
    disk, mount = bench.dir / f"{kind}.disk", bench.dir / f"{kind}.mount"
    mount.mkdir(exist_ok=True)
    with open(disk, "wb") as file:
        file.truncate(12 << 30)
    ready = subprocess.run(
        f"{make} -f {disk} && mount -o loop {disk} {mount}", shell=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=bench.env)
    if ready.returncode != 0:
        print(f"  NOT MEASURED: {kind}: {ready.stderr.decode().strip()}")
        disk.unlink()
        return
    try:
        base, copy = mount / "stock.img", mount / "copy.img"
        subprocess.run(["cp", "--sparse=always", raw, base], check=True)
        inventory = mount / "inventory.yml"
        inventory.write_text(
            "all:\n  hosts:\n    node1: {ansible_host: 10.0.0.1}\n  vars:\n"
            "    gateway: 10.0.0.254\n    ssh_authorized_keys: []\n"
            "    image: stock.img\n")
        argv = [program, "--quiet", "-i", str(inventory), "build", "node1",
                "--no-checksums", "--build-dir", str(mount / "build")]
        group = f"one node: .img on {kind}"
        # What was just written could change again unseen: it is hashed each
        # time until its stamp is a few seconds old.
        time.sleep(4)
        first = run(argv, bench.env, bench.dir)
        by_hand = (f"cp --reflink=always {base} {copy}; "
                   f"{hand.format(copy, copy)}; sync {copy}")
        bench.compare(group, [
            ("piflash", argv), ("cp --reflink, debugfs and mcopy", by_hand)])
        bench.add(group, "piflash, the first time: reads all", first)
    finally:
        subprocess.run(["umount", mount], check=True)
        disk.unlink()


if __name__ == "__main__":
    main()
