"""What a rendered pod runs, as words of a shell:  pods.py RENDERED NAME POD ADDRESS"""
import shlex
import sys

import yaml


def main():
    rendered, name, pod, address = sys.argv[1:]
    with open(rendered, encoding="utf-8") as f:
        specs = {
            o["metadata"]["name"]: o["spec"]["template"]["spec"]
            for o in yaml.safe_load_all(f)
            if o["kind"] in ("Deployment", "StatefulSet")
        }
    container = specs[name]["containers"][0]
    words = container.get("command", []) + container["args"]
    fields = {"status.podIP": address, "metadata.name": pod}
    for e in container.get("env", []):
        value = fields[e["valueFrom"]["fieldRef"]["fieldPath"]]
        words = [w.replace(f"$({e['name']})", value) for w in words]
    print(specs[name]["securityContext"]["runAsUser"], shlex.join(words))


main()
