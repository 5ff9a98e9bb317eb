"""Network namespaces with throttled links between them, and what their sockets and interfaces sent."""
import ctypes
import json
import os
import socket
import struct
import subprocess
import threading

from bench import environment

CLONE_NEWNET = 0x40000000
# TCP with IPv4: Ethernet 14, IP 20, TCP 20, timestamps 12 bytes.
HEADER_BYTES = 66


def ip(*arguments):
    return subprocess.run(["ip", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


class Link:
    """`hosts` namespaces: two joined by a pair of virtual interfaces, more by a bridge in a namespace of its own. tbf where each of them sends, unless
    the rate is none."""

    def __init__(self, rate, hosts=2):
        tag = f"pb{os.getpid()}"
        self.spaces = [f"{tag}{letter}" for letter in "abcdefgh"[:hosts]]
        self.ports = [f"{tag}v{i}" for i in range(hosts)]
        self.switch = f"{tag}s" if hosts > 2 else None
        self.rate = rate

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def build(self):
        for space in [*self.spaces, *([self.switch] if self.switch else [])]:
            ip("netns", "add", space)
        if self.switch:
            ip("-n", self.switch, "link", "add", "bridge0", "type", "bridge")
            ip("-n", self.switch, "link", "set", "bridge0", "up")
            for i, (space, port) in enumerate(zip(self.spaces, self.ports)):
                ip("link", "add", port, "netns", space, "type", "veth", "peer", "name", f"port{i}", "netns", self.switch)
                ip("-n", self.switch, "link", "set", f"port{i}", "master", "bridge0", "up")
        else:
            ip("link", "add", self.ports[0], "netns", self.spaces[0], "type", "veth", "peer", "name", self.ports[1], "netns", self.spaces[1])
        for i, (space, port) in enumerate(zip(self.spaces, self.ports)):
            ip("-n", space, "addr", "add", f"10.77.0.{i + 1}/24", "dev", port)
            ip("-n", space, "link", "set", "lo", "up")
            ip("-n", space, "link", "set", port, "up")
            if self.rate != "none":
                # Larger packets than the bucket would be cut to 1.5 kB one by one in software, which no network card does and costs more processor time than all else.
                ip("-n", space, "link", "set", port, "gso_max_size", "32768")
                ip("netns", "exec", space, "tc", "qdisc", "add", "dev", port, "root", "tbf", "rate", self.rate, "burst", "64kb", "latency", "50ms")

    def __exit__(self, *_):
        for space in [*self.spaces, *([self.switch] if self.switch else [])]:
            subprocess.run(["ip", "netns", "del", space], check=False, stderr=subprocess.DEVNULL)

    def bits_per_second(self):
        if self.rate == "none":
            return None
        number, unit = self.rate[:-4], self.rate[-4:]
        return float(number) * {"gbit": 1e9, "mbit": 1e6}[unit]

    def run_all(self, command, together=True, per_host=1):
        """Starts `command` on every host `per_host` times, as the ranks of one world or (not together) as worlds of one; returns the first one's output. A tuple in the
        command holds a word per host."""
        ranks, hosts = [], len(self.spaces)
        for rank in range(hosts * per_host):
            host, local = divmod(rank, per_host)
            env = environment(1)
            if together:
                env = environment(1, RANK=str(rank), LOCAL_RANK=str(local), WORLD_SIZE=str(hosts * per_host), LOCAL_WORLD_SIZE=str(per_host), GROUP_RANK=str(host),
                                  MASTER_ADDR="10.77.0.1", MASTER_PORT="29571", GLOO_SOCKET_IFNAME=self.ports[host])
            words = [str(word[host] if isinstance(word, tuple) else word) for word in command]
            ranks.append(subprocess.Popen(["ip", "netns", "exec", self.spaces[host], *words], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                          stdin=subprocess.DEVNULL))
        try:
            outputs = [process.communicate(timeout=900) for process in ranks]
        finally:
            for process in ranks:
                process.kill()  # nothing to those that ended
        if any(process.returncode for process in ranks):
            raise SystemExit(f"{command}: {[p.returncode for p in ranks]}\n" + "\n".join(output[1][-3000:] for output in outputs))
        return outputs[0][0]


def socket_in(space, *arguments):
    """A socket that lives in a namespace: only the calling thread visits it."""
    made = []

    def visit():
        with open(f"/run/netns/{space}") as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns {space}")
        made.append(socket.socket(*arguments))

    thread = threading.Thread(target=visit)
    thread.start()
    thread.join()
    return made[0]


class SentBytes:
    """What rank 0's namespace sent during a run.

    `sockets`: TCP_INFO's bytes_sent less bytes_retrans over all sockets, asked of the kernel every 10 ms because a closed socket takes its count
    with it; `retransmitted`: the latter. `interface`: the interface's counter less headers, which misses nothing; acknowledgements with options of their own count
    a few bytes too many."""

    def __init__(self, link):
        self.link, self.sent, self.stop = link, {}, threading.Event()
        self.netlink = socket_in(link.spaces[0], socket.AF_NETLINK, socket.SOCK_RAW, 4)  # NETLINK_SOCK_DIAG
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        request = struct.pack("=IHHII", 72, 20, 0x301, 1, 0) + struct.pack("=BBBxI48x", socket.AF_INET, socket.IPPROTO_TCP, 1 << 1, 0xFFF)
        while not self.stop.wait(0.01):
            self.netlink.send(request)
            while not self.read(self.netlink.recv(1 << 18)):
                pass

    def read(self, data):
        """One reply of the kernel; true when it was the last."""
        while data:
            length, kind = struct.unpack_from("=IH", data)
            if kind == 3:  # NLMSG_DONE
                return True
            if kind == 20:
                self.note(data[16:length])
            data = data[(length + 3) // 4 * 4:]
        return False

    def note(self, message):
        cookie, at = message[44:52], 72  # struct inet_diag_msg, then attributes
        while at + 4 <= len(message):
            length, kind = struct.unpack_from("=HH", message, at)
            if kind == 2 and length >= 4 + 216:  # INET_DIAG_INFO; bytes_sent and bytes_retrans stand at 200 in struct tcp_info
                sent, again = struct.unpack_from("=QQ", message, at + 4 + 200)
                self.sent[cookie] = max(self.sent.get(cookie, (0, 0)), (sent, again))
            at += (length + 3) // 4 * 4

    def interface_payload(self):
        counters = json.loads(ip("-n", self.link.spaces[0], "-s", "-j", "link", "show", "dev", self.link.ports[0]))[0]["stats64"]["tx"]
        return counters["bytes"] - HEADER_BYTES * counters["packets"]

    def __enter__(self):
        self.before = self.interface_payload()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.netlink.close()
        self.retransmitted = sum(again for _, again in self.sent.values())
        self.sockets = sum(sent for sent, _ in self.sent.values()) - self.retransmitted
        self.interface = self.interface_payload() - self.before
