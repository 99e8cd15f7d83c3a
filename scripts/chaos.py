"""Validators as real processes, each in a network namespace of its own, under a seeded row of faults while transfers flow; then a check.

The namespaces have no names and hang on this process alone, as do the mounts: when it ends, however it ends, they are gone, and the kernel
kills what it started. Between the namespaces stands a switch of its own (a child process that carries the packets of one TUN device each), since
kernels come without netem; there packets are lost, delayed and cut, for each direction by itself.

A phase disturbs at most f of 3f + 1 nodes, and then the chain must go on; every fourth disturbs more, and it may stop, but must come back.
With --restarts, random nodes of four are killed with -9 and started again, one after the other, so many times."""
import argparse
import collections
import ctypes
import errno
import fcntl
import heapq
import http.client
import json
import os
import random
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

CLONE_NEWNS, CLONE_NEWNET, PR_SET_PDEATHSIG = 0x20000, 0x40000000, 1
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
LIBC = ctypes.CDLL(None, use_errno=True)

# What holds after healing, and while at most f are disturbed. Seconds; the machine may be slow and shared.
READY_BOUND = 60
GAP_BOUND = 20
DISK_BYTES = 512 << 20


def system_call(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def enter(namespace):
    system_call(LIBC.setns(namespace, CLONE_NEWNET), "setns")


def now():
    return time.time()


# The network


class Switch:
    """Carries packets between the TUN devices, in a process of its own; rules come through a pipe."""

    def __init__(self, devices, seed):
        self.count = len(devices)
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            try:
                Switch.carry(devices, theirs, random.Random(seed))
            finally:
                os._exit(1)
        theirs.close()
        self.control = ours
        self.heal()

    def heal(self):
        self.loss = [[0.0] * self.count for _ in range(self.count)]
        self.delay = [[0.0] * self.count for _ in range(self.count)]

    def apply(self):
        self.control.sendall((json.dumps([self.loss, self.delay]) + "\n").encode())

    def stop(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    @staticmethod
    def carry(devices, control, chance):
        count = len(devices)
        loss = [[0.0] * count for _ in range(count)]
        delay = [[0.0] * count for _ in range(count)]
        index = {device: place for place, device in enumerate(devices)}
        poll = select.epoll()
        poll.register(control.fileno(), select.EPOLLIN)
        for device in devices:
            poll.register(device, select.EPOLLIN)
        waiting, sequence, text = [], 0, b""

        def deliver(target, packet):
            try:
                os.write(devices[target], packet)
            except OSError:
                pass  # a full queue loses packets, as on any network

        while True:
            patience = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
            for ready, _ in poll.poll(patience):
                if ready == control.fileno():
                    piece = control.recv(1 << 20)
                    if not piece:
                        return
                    text += piece
                    while b"\n" in text:
                        line, text = text.split(b"\n", 1)
                        loss, delay = json.loads(line)
                    continue
                source = index[ready]
                for _ in range(64):
                    try:
                        packet = os.read(ready, 65_536)
                    except OSError:
                        break
                    # IPv4 only: the last octet of the destination is the place, from 1 on.
                    target = packet[19] - 1 if packet[0] >> 4 == 4 else -1
                    if not 0 <= target < count:
                        continue
                    share = loss[source][target]
                    if share and chance.random() < share:
                        continue
                    if delay[source][target]:
                        sequence += 1
                        heapq.heappush(
                            waiting, (time.monotonic() + delay[source][target], sequence, target, packet))
                    else:
                        deliver(target, packet)
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, target, packet = heapq.heappop(waiting)
                deliver(target, packet)


class Namespaces:
    """One network namespace for each node and one for who sends the transfers, 10.77.0.1 and up."""

    kind = "namespaces"

    def __init__(self, nodes, seed):
        self.own = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.namespaces, devices = [], []
        try:
            for place in range(nodes + 1):
                system_call(LIBC.unshare(CLONE_NEWNET), "unshare")
                self.namespaces.append(os.open("/proc/self/ns/net", os.O_RDONLY))
                device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
                fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"plasma", IFF_TUN | IFF_NO_PI))
                devices.append(device)
                for command in (
                    "link set lo up", f"addr add {self.host(place)}/24 dev plasma", "link set plasma mtu 1500 up",
                ):
                    subprocess.run(["ip", *command.split()], check=True, capture_output=True)
        finally:
            enter(self.own)
        self.switch = Switch(devices, seed)
        for device in devices:
            os.close(device)

    def host(self, place):
        return f"10.77.0.{place + 1}"

    def ports(self, place):
        return 27600, 27700

    def enter(self, place):
        enter(self.namespaces[place])

    def leave(self):
        enter(self.own)

    def close(self):
        self.switch.stop()


class Loopback:
    """All on 127.0.0.1: nothing can be done to the network."""

    kind = "loopback"
    switch = None

    def __init__(self, base):
        self.base = base

    def host(self, place):
        return "127.0.0.1"

    def ports(self, place):
        return self.base + place, self.base + 100 + place

    def enter(self, place):
        pass

    def leave(self):
        pass

    def close(self):
        pass


# The nodes


class Node:
    def __init__(self, place, home, log, network, plasma):
        self.place, self.home, self.log, self.network, self.plasma = place, home, log, network, plasma
        self.name = f"v{place}"
        self.process = None
        # Whether its end is our doing, or has been told.
        self.may_be_gone = False

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.plasma, "start", "--home", self.home], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "PLASMA_PASSWORD": ""}, preexec_fn=lambda: prepare(self.network, self.place))
        self.may_be_gone = False

    def kill(self):
        self.may_be_gone = True
        if self.alive:
            self.process.kill()
            self.process.wait()

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def pause(self, paused):
        if self.alive:
            self.process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def ask(self, path, body=None, patience=3):
        """From the node's own namespace, so that no fault of the network stands between."""
        self.network.enter(self.place)
        try:
            link = socket.socket()
        finally:
            self.network.leave()
        connection = http.client.HTTPConnection("node")
        try:
            link.settimeout(patience)
            link.connect((self.network.host(self.place), self.network.ports(self.place)[1]))
            connection.sock = link
            connection.request("POST" if body else "GET", path, body, {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()

    def call(self, method, **parameters):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
        return json.loads(self.ask("/", body)[1])["result"]

    def readiness(self):
        """None where the node is ready, else why it is not."""
        if not self.alive:
            return "it does not run"
        try:
            status, body = self.ask("/ready")
            return None if status == 200 else json.loads(body).get("reason", f"status {status}")
        except (OSError, http.client.HTTPException, ValueError) as fault:
            return f"no answer ({fault})"


def prepare(network, place):
    """In a child, before it becomes the program."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    network.enter(place)


def run(plasma, *arguments):
    answer = subprocess.run(
        [plasma, *arguments, "-o", "json"], capture_output=True, text=True, env={**os.environ, "PLASMA_PASSWORD": ""})
    if answer.returncode != 0:
        raise SystemExit(f"plasma {' '.join(arguments)}: {answer.stderr.strip()}")
    return json.loads(answer.stdout)


def make_homes(plasma, work, network, count, small_disk):
    """A home for each validator and one for the account that pays, and the genesis that names them."""
    stake, rich = 10_000_000, 1_000_000
    sections, nodes, made = [], [], []
    addresses = [f"{network.host(place)}:{network.ports(place)[0]}" for place in range(count)]
    os.makedirs(work + "/logs")
    for place in range(count):
        home = f"{work}/v{place}"
        if place == small_disk:
            os.makedirs(home)
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "plasma-chaos", home], check=True,
                capture_output=True)
        port, rpc = network.ports(place)
        keys = run(
            plasma, "init", "--home", home, "--name", f"v{place}", "--validator", "--listen", network.host(place),
            "--port", str(port), "--rpc-port", str(rpc), "--bootstrap", *[a for a in addresses if a != addresses[place]])
        with open(home + "/config.toml") as file:
            text = file.read()
        with open(home + "/config.toml", "w") as file:
            file.write(text.replace('rpc_host = "127.0.0.1"', f'rpc_host = "{network.host(place)}"'))
        made.append(home)
        sections.append(
            f'[[validators]]\nconsensus_key = "{keys["consensusKey"]}"\nvrf_key = "{keys["vrfKey"]}"\n'
            f'stake = "{stake}"\noperator = "{keys["operator"]}"\n')
        nodes.append(Node(place, home, f"{work}/logs/v{place}.txt", network, plasma))
    alice = run(plasma, "keys", "create", "alice", "--home", work + "/client")
    genesis = (
        f'chain = "chaos"\ntime_ms = {int(now() * 1000)}\n' + "\n".join(sections)
        + f'[[accounts]]\naddress = "{alice["address"]}"\nbalance = "{rich}"\n[parameters]\nheartbeat_ms = 1000\n')
    for home in made:
        with open(home + "/genesis.toml", "w") as file:
            file.write(genesis)
    return nodes


class Load:
    """`plasma bench load` beside the nodes, and what it wrote down."""

    def __init__(self, plasma, work, network, nodes, rate, senders, seconds):
        self.record = work + "/final"
        targets = [f"{network.host(n.place)}:{network.ports(n.place)[1]}" for n in nodes]
        self.process = subprocess.Popen(
            [
                plasma, "bench", "load", *targets, "--home", work + "/client", "--rate", str(rate), "--senders",
                str(senders), "--seconds", str(seconds), "--record", self.record,
            ], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PLASMA_PASSWORD": ""}, preexec_fn=lambda: prepare(network, len(nodes)))

    def wait_for_first(self):
        deadline = now() + READY_BOUND
        while not (os.path.exists(self.record) and os.path.getsize(self.record)):
            if self.process.poll() is not None:
                raise SystemExit(f"the transfers ended: {self.process.stderr.read()}")
            if now() > deadline:
                raise SystemExit(f"no transfer was final within {READY_BOUND} s")
            time.sleep(0.1)

    def finish(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        output, errors = self.process.communicate(timeout=180)
        if self.process.returncode != 0:
            raise SystemExit(f"the transfers failed: {errors}")
        with open(self.record) as file:
            self.times = sorted(int(line.split()[0]) / 1000 for line in file)
        return json.loads(output)

    def gap(self, begin, end):
        """The longest time without a report, as far as it lies within these."""
        inside = [begin] + [t for t in self.times if begin < t < end] + [end]
        return max(b - a for a, b in zip(inside, inside[1:]))


# The faults


class Chaos:
    """Deals out faults and remembers what they did."""

    bearable = ["kill", "pause", "cut", "cut-in", "cut-out", "delay", "loss", "disk"]
    unbearable = ["kill-all", "kill-many", "pause-many", "split", "lossy"]

    def __init__(self, nodes, network, chance, small_disk, say):
        self.nodes, self.network, self.chance, self.small_disk, self.say = nodes, network, chance, small_disk, say
        self.findings, self.phases, self.bags = [], [], {}

    def draw(self, bag, kinds):
        """Each kind once before any comes again."""
        if not self.bags.get(bag):
            self.bags[bag] = self.chance.sample(kinds, len(kinds))
        return self.bags[bag].pop()

    def possible(self, kinds):
        no_network = self.network.switch is None
        needs_network = {"cut", "cut-in", "cut-out", "delay", "loss", "split", "lossy"}
        return [
            kind for kind in kinds
            if not (no_network and kind in needs_network) and not (kind == "disk" and self.small_disk is None)]

    def phase(self, number):
        tolerated = (len(self.nodes) - 1) // 3
        over = number % 4 == 3
        seconds = self.chance.uniform(6, 14)
        undo = []
        if over:
            kind = self.draw("over", self.possible(self.unbearable))
            many = self.chance.sample(self.nodes, self.chance.randint(tolerated + 1, len(self.nodes)))
            kinds, what = [kind], self.disturb_many(kind, many, undo)
        else:
            victims = self.chance.sample(self.nodes, self.chance.randint(1, tolerated))
            kinds, said = [], []
            for place, victim in enumerate(victims):
                kind = self.draw("bearable", self.possible(self.bearable))
                if kind == "disk":
                    small = self.nodes[self.small_disk]
                    if small in victims[:place]:
                        kind = "kill"
                    elif victim is not small:
                        if small in victims:
                            victims[victims.index(small)] = victim
                        victim = small
                kinds.append(kind)
                said.append(self.disturb(kind, victim, seconds, undo))
            what = "; ".join(said)
        self.say(f"phase {number + 1}, {seconds:.0f} s: {what}" + (" (the chain may stop)" if over else ""))
        begin = now()
        self.hold(begin + seconds)
        for step in undo:
            step()
        if self.network.switch:
            self.network.switch.heal()
            self.network.switch.apply()
        healed = now()
        ready = self.wait_until_ready()
        self.phases.append(
            {"kinds": kinds, "over": over, "begin": begin, "healed": healed, "end": now(), "ready": ready})
        self.say(f"  everyone ready {ready:.1f} s after it" if ready is not None else "  NOT READY")
        time.sleep(self.chance.uniform(1, 3))

    def hold(self, until):
        while now() < until:
            self.notice_deaths()
            time.sleep(0.05)

    def notice_deaths(self):
        for node in self.nodes:
            if not node.alive and not node.may_be_gone:
                self.findings.append(f"{node.name} ended by itself with {node.process.returncode}: see {node.log}")
                node.may_be_gone = True

    def disturb(self, kind, node, seconds, undo):
        switch, place = self.network.switch, node.place
        others = [other.place for other in self.nodes if other is not node]
        if kind == "kill":
            node.kill()
            undo.append(node.start)
            return f"kill -9 {node.name}"
        if kind == "pause":
            node.pause(True)
            undo.append(lambda: node.pause(False))
            return f"SIGSTOP {node.name}"
        if kind == "disk":
            return self.fill_disk(node, undo)
        for other in others:
            if kind in ("cut", "cut-out"):
                switch.loss[place][other] = 1.0
            if kind in ("cut", "cut-in"):
                switch.loss[other][place] = 1.0
            if kind == "delay":
                switch.delay[place][other] = switch.delay[other][place] = 0.1
            if kind == "loss":
                switch.loss[place][other] = switch.loss[other][place] = 0.05
        switch.apply()
        words = {
            "cut": "cut off", "cut-in": "hears nobody", "cut-out": "is heard by nobody", "delay": "100 ms away",
            "loss": "5% loss"}
        return f"{node.name} {words[kind]}"

    def fill_disk(self, node, undo):
        ballast = node.home + "/ballast"
        file = os.open(ballast, os.O_CREAT | os.O_WRONLY)
        space = os.fstatvfs(file)
        free = space.f_bavail * space.f_frsize
        # As much as there is; a writer beside us may take the last page first.
        while free > 0:
            try:
                os.posix_fallocate(file, os.fstat(file).st_size, free)
            except OSError as fault:
                if fault.errno != errno.ENOSPC:
                    raise
            space = os.fstatvfs(file)
            if free == space.f_bavail * space.f_frsize:
                free //= 2
            else:
                free = space.f_bavail * space.f_frsize
        os.close(file)
        node.may_be_gone = True

        def heal():
            os.remove(ballast)
            if node.alive:
                self.say(f"  {node.name} lived through its full disk")
                node.may_be_gone = False
                return
            # It stops and says why; a signal would be a crash.
            self.say(f"  {node.name} had stopped with {node.process.returncode} on its full disk")
            if node.process.returncode != 1:
                self.findings.append(f"{node.name} ended with {node.process.returncode} on a full disk: see {node.log}")
            node.start()

        undo.append(heal)
        return f"{node.name}'s disk is full"

    def disturb_many(self, kind, many, undo):
        switch = self.network.switch
        if kind == "kill-all":
            many = self.nodes
        if kind in ("kill-all", "kill-many"):
            for node in many:
                node.process.kill()
            for node in many:
                node.kill()
                undo.append(node.start)
            return f"kill -9 {' '.join(node.name for node in many)}"
        if kind == "pause-many":
            for node in many:
                node.pause(True)
                undo.append(lambda node=node: node.pause(False))
            return f"SIGSTOP {' '.join(node.name for node in many)}"
        places = {node.place for node in many}
        for one in self.nodes:
            for other in self.nodes:
                if kind == "lossy" and one is not other:
                    switch.loss[one.place][other.place] = 0.3
                if kind == "split" and (one.place in places) != (other.place in places):
                    switch.loss[one.place][other.place] = 1.0
        switch.apply()
        return "30% loss everywhere" if kind == "lossy" else f"{' '.join(n.name for n in many)} parted from the rest"

    def wait_until_ready(self):
        """Seconds until all are ready, one answer each in a row; None beyond the bound."""
        begin = now()
        while True:
            self.notice_deaths()
            reasons = {node.name: node.readiness() for node in self.nodes}
            if not any(reasons.values()):
                return now() - begin
            if now() - begin > READY_BOUND:
                said = "; ".join(f"{name}: {reason}" for name, reason in reasons.items() if reason)
                self.findings.append(f"not ready after {READY_BOUND} s: {said}")
                return None
            time.sleep(0.1)

    def restart(self, number):
        node = self.chance.choice(self.nodes)
        time.sleep(self.chance.uniform(0, 0.2))
        begin = now()
        node.kill()
        node.start()
        while True:
            reason = node.readiness()
            if reason is None:
                break
            if not node.alive or now() - begin > READY_BOUND:
                self.findings.append(f"restart {number + 1}: {node.name} is not ready: {reason}; see {node.log}")
                break
            time.sleep(0.02)
        self.notice_deaths()
        self.phases.append({"kinds": ["restart"], "over": False, "begin": begin, "end": now(), "ready": now() - begin})


def summarize(chaos, load):
    """For each kind of fault: how often, the longest time without finality, the longest until all were ready."""
    table = collections.OrderedDict()
    for phase in chaos.phases:
        gap = load.gap(phase["begin"], phase["end"])
        if not phase["over"] and gap > GAP_BOUND:
            chaos.findings.append(
                f"no finality for {gap:.1f} s while at most f nodes were disturbed ({', '.join(phase['kinds'])})")
        for kind in phase["kinds"]:
            row = table.setdefault(kind, {"count": 0, "gaps": [], "ready": [], "mayStop": phase["over"]})
            row["count"] += 1
            row["gaps"].append(gap)
            if phase["ready"] is not None:
                row["ready"].append(phase["ready"])
    return [
        {
            "fault": kind, "count": row["count"], "mayStop": row["mayStop"],
            "gapMedianSeconds": round(statistics.median(row["gaps"]), 2), "gapLongestSeconds": round(max(row["gaps"]), 2),
            "readyMedianSeconds": round(statistics.median(row["ready"]), 2) if row["ready"] else None,
            "readyLongestSeconds": round(max(row["ready"]), 2) if row["ready"] else None,
        } for kind, row in table.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=None, help="default: the time")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--nodes", type=int, default=None, help="default: 7; 4 with --restarts")
    parser.add_argument("--restarts", type=int, default=0, help="kill -9 and start again so many times, instead of phases")
    parser.add_argument("--rate", type=float, default=30, help="transfers a second")
    parser.add_argument("--senders", type=int, default=150)
    parser.add_argument("--base-port", type=int, default=31000, help="on loopback, where there are no namespaces")
    parser.add_argument("--loopback", action="store_true", help="make no namespaces")
    parser.add_argument("--plasma", default=".build/release/plasma")
    parser.add_argument("--keep", action="store_true", help="keep homes and logs")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    options = parser.parse_args()
    if options.nodes is None:
        options.nodes = 4 if options.restarts else 7
    if not 4 <= options.nodes <= 100:
        parser.error("--nodes is from 4 to 100")
    plasma = os.path.abspath(options.plasma)
    seed = options.seed if options.seed is not None else int(now())
    chance = random.Random(seed)
    out = sys.stderr if options.output == "json" else sys.stdout

    def say(text):
        print(text, file=out, flush=True)

    loopback = options.loopback or bool(options.restarts)
    if not loopback and os.geteuid() != 0 and "PLASMA_CHAOS_INSIDE" not in os.environ:
        tried = subprocess.run(["unshare", "--user", "--map-root-user", "true"], capture_output=True)
        if tried.returncode == 0:
            os.environ["PLASMA_CHAOS_INSIDE"] = "1"
            os.execvp("unshare", ["unshare", "--user", "--map-root-user", sys.executable, *sys.argv])

    # A signal ends the run like any other fault, with everything cleared away.
    def interrupted(number, frame):
        raise SystemExit(f"interrupted by signal {number}")

    signal.signal(signal.SIGTERM, interrupted)
    work = tempfile.mkdtemp(prefix="plasma-chaos-")
    small_disk, nodes, network, load = None, [], None, None
    try:
        try:
            system_call(LIBC.unshare(CLONE_NEWNS), "unshare")
            subprocess.run(["mount", "--make-rprivate", "/"], check=True, capture_output=True)
            small_disk = None if options.restarts else options.nodes - 1
        except (OSError, subprocess.CalledProcessError) as fault:
            if not options.restarts:
                say(f"no full disk here: file systems cannot be mounted ({fault})")
        if not loopback:
            try:
                network = Namespaces(options.nodes, seed)
            except (OSError, subprocess.CalledProcessError) as fault:
                say(f"no faults of the network here: namespaces cannot be made ({fault})")
        if network is None:
            network = Loopback(options.base_port)
        say(f"seed {seed}: {options.nodes} validators, {network.kind}; logs in {work}/logs")
        nodes = make_homes(plasma, work, network, options.nodes, small_disk)
        chaos = Chaos(nodes, network, chance, small_disk, say)
        for node in nodes:
            node.start()
        if chaos.wait_until_ready() is None:
            raise SystemExit(chaos.findings[-1])
        load = Load(plasma, work, network, nodes, options.rate, options.senders, 1_000_000)
        load.wait_for_first()
        begin, number = now(), 0
        if options.restarts:
            while number < options.restarts and not chaos.findings:
                chaos.restart(number)
                number += 1
                if number % 50 == 0:
                    say(f"{number} restarts after {now() - begin:.0f} s")
        else:
            while now() < begin + options.minutes * 60 and not chaos.findings:
                chaos.phase(number)
                number += 1
        seconds = now() - begin

        # Everything is healed; now all must be true at once.
        ready = chaos.wait_until_ready()
        transfers = load.finish()
        supply = set()
        if ready is not None:
            for node in nodes:
                if node.readiness() is not None:
                    chaos.findings.append(f"{node.name} is not ready at the end: {node.readiness()}")
                supply.add(node.call("chain.totals")["supply"])
            if len(supply) != 1:
                chaos.findings.append(f"the nodes name {len(supply)} supplies: {supply}")
        for node in nodes:
            if node.alive:
                node.process.terminate()
        for node in nodes:
            try:
                if node.process.wait(timeout=20) != 0:
                    chaos.findings.append(f"{node.name} ended with {node.process.returncode} at SIGTERM: see {node.log}")
            except subprocess.TimeoutExpired:
                chaos.findings.append(f"{node.name} did not stop within 20 s of SIGTERM")
                node.kill()
        table = summarize(chaos, load)
        audited = subprocess.run(
            [plasma, "devnet", "audit", *[node.home for node in nodes], "--reported", load.record, "-o", "json"],
            capture_output=True, text=True)
        audit = json.loads(audited.stdout) if audited.stdout else {"clean": False, "findings": [audited.stderr.strip()]}
        chaos.findings += audit["findings"]
        if audited.returncode != 0 and not audit["findings"]:
            chaos.findings.append(f"the audit ended with {audited.returncode}: {audited.stderr.strip()}")
        sound = not chaos.findings
        result = {
            "sound": sound, "seed": seed, "nodes": options.nodes, "network": network.kind, "seconds": round(seconds, 1),
            "restarts": number if options.restarts else None, "phases": None if options.restarts else number,
            "faults": table, "transfers": transfers, "audit": audit, "findings": chaos.findings,
            "readyBoundSeconds": READY_BOUND, "gapBoundSeconds": GAP_BOUND,
        }
        if options.output == "json":
            print(json.dumps(result, indent=2))
        else:
            print(f"\n{'fault':<12} {'count':>5}   {'without finality, s':>20}   {'until all ready, s':>20}")
            print(f"{'':<12} {'':>5}   {'median':>10} {'longest':>9}   {'median':>10} {'longest':>9}")
            for row in table:
                mark = " (may stop)" if row["mayStop"] else ""
                print(
                    f"{row['fault']:<12} {row['count']:>5}   {row['gapMedianSeconds']:>10} {row['gapLongestSeconds']:>9}   "
                    f"{row['readyMedianSeconds'] or '-':>10} {row['readyLongestSeconds'] or '-':>9}{mark}")
            print(
                f"\n{transfers['final']} transfers reported final in {seconds:.0f} s ({transfers['retries']} handed in again, "
                f"{transfers['settledUnreported']} settled while nobody was left to report them, {transfers['open']} open)")
            print(
                f"{audit.get('blocks')} blocks with {audit.get('transactions')} transactions, executed again from genesis; "
                f"supply {audit.get('supply')} XPL")
            print(
                f"bounds: ready within {READY_BOUND} s of healing, no more than {GAP_BOUND} s without finality while at most "
                "f nodes are disturbed")
            for finding in chaos.findings:
                print(f"FOUND: {finding}")
            print("nothing was lost" if sound else f"NOT SOUND: replay with --seed {seed}; logs in {work}/logs")
        if not sound:
            options.keep = True
        return 0 if sound else 1
    finally:
        for node in nodes:
            node.kill()
        if load is not None and load.process.poll() is None:
            load.process.kill()
            load.process.wait()
        if network is not None:
            network.close()
        if options.keep:
            # What was mounted goes with this process; keep what the disk held.
            if small_disk is not None and nodes:
                shutil.copytree(nodes[small_disk].home, f"{work}/v{small_disk}-kept", dirs_exist_ok=True)
        else:
            if small_disk is not None and nodes:
                subprocess.run(["umount", nodes[small_disk].home], capture_output=True)
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
