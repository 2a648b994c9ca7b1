"""What the DNS of a cluster says of its Services: ready pods, or the one address.

    names.py ADDRESS API TOKEN
"""
import json
import socket
import ssl
import struct
import sys
import urllib.error
import urllib.request

A, IN, NO_SUCH_NAME = 1, 1, 3
ANSWER, POINTER, SECONDS = 0x8580, 0xC00C, 5  # a reply to the name at offset 12


class Cluster:
    def __init__(self, api, token):
        self.api, self.token = api, token
        self.trust = ssl._create_unverified_context()  # on loopback

    def get(self, path):
        request = urllib.request.Request(self.api + path, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, context=self.trust, timeout=2) as f:
            return json.load(f)

    def addresses(self, name):
        """None if there is no such name."""
        service, namespace, *domain = name.split(".")
        if domain != ["svc", "cluster", "local"]:
            return None
        base = f"/api/v1/namespaces/{namespace}"
        try:
            own = self.get(f"{base}/services/{service}")["spec"]["clusterIP"]
            if own != "None":
                return [own]
            found = self.get(f"{base}/endpoints/{service}")
        except urllib.error.HTTPError:
            return None
        return [a["ip"] for s in found.get("subsets", []) for a in s.get("addresses", [])]


def question(packet):
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    kind, _ = struct.unpack_from("!HH", packet, at + 1)
    return ".".join(labels).lower(), kind, packet[12 : at + 5]


def reply(cluster, packet):
    name, kind, asked = question(packet)
    found = cluster.addresses(name) if "." in name else None
    records = [socket.inet_aton(a) for a in found or []] if kind == A else []
    flags = ANSWER | (NO_SUCH_NAME if found is None else 0)
    head = packet[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
    return head + asked + b"".join(struct.pack("!HHHIH", POINTER, A, IN, SECONDS, 4) + r for r in records)


def main():
    address, api, token = sys.argv[1:]
    cluster = Cluster(api, token)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((address, 53))
        while True:
            packet, peer = s.recvfrom(512)
            try:
                s.sendto(reply(cluster, packet), peer)
            except (OSError, IndexError, ValueError, struct.error) as e:
                print(f"{peer}: {e}", flush=True)


main()
