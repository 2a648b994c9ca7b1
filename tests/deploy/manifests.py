"""What a schema does not know about manifests: names that lead somewhere.

    manifests.py PROGRAMS SECRETS RULES DOCUMENTS...
    manifests.py PROGRAMS flags FILES...     of compose, or not rendered

PROGRAMS: directory of the three programs; SECRETS: what deploy/secrets.sh
prints for a cluster; RULES: the alarms of compose; DOCUMENTS: rendered ones.
"""
import base64
import re
import subprocess
import sys

import yaml

SERVED = {"/livez", "/readyz", "/metrics"}  # manifests.sh asks a broker
faults = 0


def complain(where, words):
    global faults
    faults += 1
    print(f"{where}: {words}")


def label(o):
    return f"{o['kind']} {o['metadata']['name']}"


def pod_template(o):
    if o["kind"] in ("Deployment", "StatefulSet", "Job"):
        return o["spec"]["template"]
    return o["spec"]["jobTargetRef"]["template"] if o["kind"] == "ScaledJob" else None


def matches(selector, labels):
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", selector).items())


class Farm:
    def __init__(self, where, documents, secrets):
        self.where, self.documents, self.secrets = where, documents, secrets
        self.pods = {label(o): t for o in documents if (t := pod_template(o))}

    def fault(self, o, words):
        complain(self.where, f"{label(o)}: {words}")

    def of_kind(self, *kinds):
        return [o for o in self.documents if o["kind"] in kinds]

    def selected(self, selector):
        return [t for t in self.pods.values() if matches(selector, t["metadata"]["labels"])]

    def has_secret(self, o, name, key):
        if key not in self.secrets.get(name, {}):
            self.fault(o, f"key {key} of Secret {name} is made by nobody")


def ports_of(template):
    return {p["name"]: p["containerPort"] for c in template["spec"]["containers"] for p in c.get("ports", [])}


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m|h)", text).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


def option(container, name):
    return next((a.split("=", 1)[1] for a in container.get("args", []) if a.startswith(name + "=")), None)


def check_probe(farm, o, container, probe):
    ports = {p["name"] for p in container.get("ports", [])}
    for way in ("httpGet", "tcpSocket"):
        if way in probe and probe[way]["port"] not in ports:
            farm.fault(o, f"a probe asks port {probe[way]['port']}, which is not there")
    if "httpGet" in probe and probe["httpGet"]["path"] not in SERVED:
        farm.fault(o, f"a probe asks for {probe['httpGet']['path']}, which nobody serves")


def check_mounts(farm, o, spec, container):
    volumes = {v["name"]: v for v in spec.get("volumes", [])}
    volumes |= {t["metadata"]["name"]: t for t in o["spec"].get("volumeClaimTemplates", [])}
    places = {}
    for mount in container["volumeMounts"]:
        if mount["name"] not in volumes:
            farm.fault(o, f"volume {mount['name']} is not there")
            continue
        places[mount["mountPath"]] = volumes[mount["name"]]
        claim = volumes[mount["name"]].get("persistentVolumeClaim", {}).get("claimName")
        if claim and claim not in [c["metadata"]["name"] for c in farm.of_kind("PersistentVolumeClaim")]:
            farm.fault(o, f"claim {claim} is not there")
        if "emptyDir" in volumes[mount["name"]] and "sizeLimit" not in volumes[mount["name"]]["emptyDir"]:
            farm.fault(o, f"volume {mount['name']} has no sizeLimit")
    values = [e.get("value", "") for e in container.get("env", [])]
    for argument in container.get("args", []) + values:
        path = argument.split("=", 1)[-1]
        folder, _, name = path.rpartition("/")
        if folder in places and "secret" in places[folder]:
            farm.has_secret(o, places[folder]["secret"]["secretName"], name)
        elif path.startswith("/") and not any(path == p or path.startswith(p + "/") for p in places):
            farm.fault(o, f"{argument} is on no volume")


def check_closed(farm, o, spec, container):
    pod, own = spec["securityContext"], container["securityContext"]
    wanted = {
        "runAsNonRoot": pod.get("runAsNonRoot"),
        "seccompProfile": pod.get("seccompProfile", {}).get("type") == "RuntimeDefault",
        "readOnlyRootFilesystem": own.get("readOnlyRootFilesystem"),
        "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
        "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
        "automountServiceAccountToken": spec.get("automountServiceAccountToken") is False,
        "resources": {"memory", "ephemeral-storage"} <= set(container["resources"]["limits"]),
    }
    for name, is_right in wanted.items():
        if not is_right:
            farm.fault(o, f"{name} is not what it should be")


def refusal(programs, command):
    """What one of our programs has against these arguments."""
    if not command or not command[0].startswith("sinter"):
        return None
    command = [re.sub(r"\$\([A-Z_]+\)", "x", c) for c in command]
    ran = subprocess.run([f"{programs}/{command[0]}", *command[1:], "--help"], capture_output=True, text=True)
    return ran.stderr.strip() if ran.returncode != 0 else None


def check_arguments(farm, o, container, programs):
    commands = [container.get("command", []) + container.get("args", [])]
    commands += [p["exec"]["command"] for k, p in container.items() if k.endswith("Probe") and "exec" in p]
    for command in commands:
        if words := refusal(programs, command):
            farm.fault(o, words)
    names = {e["name"] for e in container.get("env", [])}
    for name in re.findall(r"\$\(([A-Z_]+)\)", " ".join(container.get("args", []))):
        if name not in names:
            farm.fault(o, f"$({name}) is set by nobody")


def check_pods(farm, programs):
    for o in farm.documents:
        template = pod_template(o)
        if not template:
            continue
        selector = o["spec"].get("selector")
        if selector and not matches(selector, template["metadata"]["labels"]):
            farm.fault(o, "the selector does not match its own pods")
        for container in template["spec"]["containers"]:
            check_mounts(farm, o, template["spec"], container)
            check_closed(farm, o, template["spec"], container)
            check_arguments(farm, o, container, programs)
            for name, probe in container.items():
                if name.endswith("Probe"):
                    check_probe(farm, o, container, probe)
            drain = option(container, "--drain")
            if drain and template["spec"]["terminationGracePeriodSeconds"] <= seconds(drain):
                farm.fault(o, "the grace period ends before the drain does")


def check_services(farm):
    for o in farm.of_kind("Service"):
        if o["spec"].get("type") == "ExternalName":
            continue
        pods = farm.selected(o["spec"]["selector"])
        if not pods:
            farm.fault(o, "selects no pod")
        for port in o["spec"]["ports"]:
            for pod in pods:
                if port["targetPort"] not in ports_of(pod):
                    farm.fault(o, f"targetPort {port['targetPort']} is not there")


def check_policies(farm):
    for o in farm.of_kind("NetworkPolicy"):
        pods = farm.selected(o["spec"]["podSelector"])
        if not pods:
            farm.fault(o, "selects no pod")
        for rule in o["spec"].get("ingress", []):
            for port in rule["ports"]:
                if not all(port["port"] in ports_of(pod) for pod in pods):
                    farm.fault(o, f"port {port['port']} is not there")
        for rule in o["spec"].get("egress", []):
            for peer in rule.get("to", []):
                there = farm.selected(peer["podSelector"])
                served = {p for pod in there for p in ports_of(pod).values()}
                if not {p["port"] for p in rule["ports"]} <= served:
                    farm.fault(o, f"nobody of {peer['podSelector']} has {rule['ports']}")
    for o in farm.of_kind("PodDisruptionBudget"):
        if not farm.selected(o["spec"]["selector"]):
            farm.fault(o, "selects no pod")


def check_names(farm, rules):
    for o in farm.of_kind("ScaledObject", "HorizontalPodAutoscaler"):
        target = o["spec"]["scaleTargetRef"]["name"]
        if target not in [d["metadata"]["name"] for d in farm.of_kind("Deployment")]:
            farm.fault(o, f"scales {target}, which is not there")
    for o in farm.of_kind("TriggerAuthentication"):
        for ref in o["spec"]["secretTargetRef"]:
            farm.has_secret(o, ref["name"], ref["key"])
    for o in farm.of_kind("ScaledObject", "ScaledJob"):
        for trigger in o["spec"]["triggers"]:
            name = trigger["authenticationRef"]["name"]
            if name not in [d["metadata"]["name"] for d in farm.of_kind("TriggerAuthentication")]:
                farm.fault(o, f"TriggerAuthentication {name} is not there")
    for o in farm.of_kind("ServiceMonitor"):
        for endpoint in o["spec"]["endpoints"]:
            farm.has_secret(o, *[endpoint["authorization"]["credentials"][k] for k in ("name", "key")])
            for service in farm.of_kind("Service"):
                if matches(o["spec"]["selector"], service["metadata"]["labels"]) and endpoint["port"] not in [
                    p["name"] for p in service["spec"]["ports"]
                ]:
                    farm.fault(o, f"port {endpoint['port']} is not there")
    for o in farm.of_kind("PrometheusRule"):
        if o["spec"]["groups"] != rules["groups"]:
            farm.fault(o, "the alarms differ from deploy/observability/rules.yaml")
    for o in farm.documents:
        if "namespace" in o["metadata"]:
            farm.fault(o, "names a namespace")


def read(path):
    with open(path, encoding="utf-8") as f:
        return [o for o in yaml.safe_load_all(f) if o]


def commands_of(document):
    """Of services of compose, or of pods as they are written."""
    for service in document.get("services", {}).values():
        yield service.get("entrypoint", []) + service.get("command", [])
        yield service.get("healthcheck", {}).get("test", ["CMD"])[1:]
    template = pod_template(document) if "kind" in document else None
    for container in template["spec"]["containers"] if template else []:
        yield container.get("command", []) + container.get("args", [])


def check_flags(programs, paths):
    count = 0
    for path in paths:
        for command in (c for d in read(path) for c in commands_of(d) if c):
            count += command[0].startswith("sinter")
            if words := refusal(programs, command):
                complain(path, words)
    print(f"{count} commands of ours have the flags they are given")


def main():
    if sys.argv[2] == "flags":
        check_flags(sys.argv[1], sys.argv[3:])
        sys.exit(faults > 0)
    programs, secrets_path, rules_path, *paths = sys.argv[1:]
    secrets = {o["metadata"]["name"]: o["data"] for o in read(secrets_path)}
    for name, data in secrets.items():
        for key, value in data.items():
            if not base64.b64decode(value, validate=True).strip():
                complain(name, f"{key} is empty")
    rules = read(rules_path)[0]
    for path in paths:
        farm = Farm(path, read(path), secrets)
        check_pods(farm, programs)
        check_services(farm)
        check_policies(farm)
        check_names(farm, rules)
        print(f"{path}: {len(farm.documents)} objects")
    sys.exit(faults > 0)


main()
