#!/usr/bin/env python3
"""The packages of an image, as this machine has them installed.

    packed.py TREE PACKAGE...

Prints for `tar -C / --no-recursion --no-unquote -T -` the names of the files of
the packages, of what they depend on and of what every Debian has, and those in
TREE. There it makes what is not a file of a package: links to the chosen
alternative, records of dpkg, passwd.
"""
import os
import re
import shutil
import subprocess
import sys

DPKG = "/var/lib/dpkg"
# Manuals, as slim images have none; headers of C++, as there are 20,000.
LEFT_OUT = re.compile(r"usr/(share/(man|locale|info|lintian|doc/.*/(?!copyright$)[^/]*)|include/boost)(/|$)")
MERGED = re.compile(r"^(bin|sbin|lib|lib32|lib64|libx32)(/|$)")


def installed():
    architecture = subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
    packages = {}
    with open(DPKG + "/status", encoding="utf-8") as status:
        for stanza in status.read().split("\n\n"):
            fields = dict(re.findall(r"^([A-Z][\w-]*): ?(.*)$", stanza, re.M))
            if fields.get("Status", "").endswith("ok installed") and \
                    fields["Architecture"] in (architecture, "all"):
                packages[fields["Package"]] = {**fields, "stanza": stanza.strip() + "\n"}
    return packages


def names(relations):
    """[[alternative, ...], ...] of a field like Depends"""
    return [[re.split(r"[ (:]", one.strip())[0] for one in group.split("|")]
            for group in relations.split(",") if group.strip()]


def closure(packages, wanted):
    providers = {}
    for name, fields in packages.items():
        for group in names(fields.get("Provides", "")):
            providers.setdefault(group[0], []).append(name)
    chosen, waiting = {}, [[name] for name in wanted]
    while waiting:
        group = waiting.pop(0)
        candidates = [name for one in group
                      for name in ([one] if one in packages else []) + providers.get(one, [])]
        if not candidates:
            sys.exit(f"packed.py: {' | '.join(group)} is not installed here")
        if any(name in chosen for name in candidates):
            continue
        name = candidates[0]
        chosen[name] = packages[name]
        for field in ("Pre-Depends", "Depends"):
            waiting += names(packages[name].get(field, ""))
    return chosen


def merged(path):
    """without the leading /, below /usr where the system is merged into it"""
    return MERGED.sub(r"usr/\1\2", path.lstrip("/"))


def files_of(chosen):
    files = set()
    for name, fields in chosen.items():
        stem = f"{name}:{fields['Architecture']}"
        stem = stem if os.path.exists(f"{DPKG}/info/{stem}.list") else name
        with open(f"{DPKG}/info/{stem}.list", encoding="utf-8") as listed:
            paths = [merged(line.rstrip("\n")) for line in listed]
        files |= {path for path in paths if path not in ("", ".") and not LEFT_OUT.match(path)}
        files |= {f"{DPKG}/info/{stem}.{kind}"[1:] for kind in ("list", "md5sums", "conffiles")}
    return {path for path in files if os.path.lexists("/" + path)}


def link(tree, path, target):
    os.makedirs(os.path.dirname(f"{tree}/{path}") or tree, exist_ok=True)
    os.symlink(target, f"{tree}/{path}")


def alternatives(tree, files):
    """links to the choice of the highest priority that is among the files"""
    for name in os.listdir(DPKG + "/alternatives"):
        with open(f"{DPKG}/alternatives/{name}", encoding="utf-8") as record:
            lines = iter(record.read().split("\n"))
        next(lines)
        links = [(name, next(lines))]
        while slave := next(lines):
            links.append((slave, next(lines)))
        choices = []
        while path := next(lines):
            priority = int(next(lines))
            choices.append((priority, [path] + [next(lines) for _ in links[1:]]))
        choices = [choice for choice in choices if merged(choice[1][0]) in files]
        for (alternative, at), target in zip(links, max(choices)[1] if choices else []):
            if target and merged(target) in files:
                link(tree, merged(at), "/etc/alternatives/" + alternative)
                link(tree, "etc/alternatives/" + alternative, target)


def made_by_scripts(tree, chosen, files):
    """what maintainers' scripts would have made"""
    for top in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if os.path.islink("/" + top):
            link(tree, top, "usr/" + top)
    for source, at in (("base-passwd/passwd.master", "passwd"), ("base-passwd/group.master", "group"),
                       ("libc-bin/nsswitch.conf", "nsswitch.conf")):
        shutil.copyfile("/usr/share/" + source, f"{tree}/etc/{at}")
    os.makedirs(tree + DPKG, exist_ok=True)
    with open(f"{tree}{DPKG}/status", "w", encoding="utf-8") as status:
        status.write("\n".join(fields["stanza"] for fields in chosen.values()))
    files |= {"usr/bin/sh", "var/lib/dpkg/info/format"}
    if "ca-certificates" in chosen:
        files.add("etc/ssl/certs/ca-certificates.crt")


def main(tree, *wanted):
    packages = installed()
    every = [name for name, fields in packages.items()
             if fields.get("Essential") == "yes" or fields.get("Priority") == "required"]
    chosen = closure(packages, every + ["apt"] + list(wanted))
    files = files_of(chosen)
    alternatives(tree, files)
    made_by_scripts(tree, chosen, files)
    made = {os.path.relpath(os.path.join(place, name), tree)
            for place, folders, others in os.walk(tree) for name in folders + others}
    print("\n".join(sorted(files) + ["-C " + os.path.abspath(tree)] + sorted(made - files)))


main(*sys.argv[1:])
