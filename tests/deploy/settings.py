"""The tables of settings in docs/operations.md, from what the programs say:

    settings.py PROGRAMS PAGE [update]
"""
import re
import subprocess
import sys


def rows(program):
    """Options as (flags, default, help), in the order of --help."""
    text = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    found = []
    for line in text.splitlines():
        option = re.match(r"  (?:-\w, |    )(--\S+(?: [A-Z]\S*)?)(?:\s{2,}(.*)|$)", line)
        if option:
            found.append([option[1], option[2] or ""])
        elif found and line.startswith(" " * 30):
            found[-1][1] = f"{found[-1][1]} {line.strip()}".strip()
    return found


def table(programs, name):
    lines = ["| option | variable | default | |", "|---|---|---|---|"]
    for flag, words in rows(f"{programs}/{name}"):
        default = re.search(r" ?\(default:? (.*)\)$", words)
        words = words[: default.start()] if default else words
        variable = "SINTER_" + flag.split()[0][2:].upper().replace("-", "_")
        if flag in ("--help", "--version") or words.startswith("internal"):
            continue
        cell = f"`{default[1]}`" if default and " " not in default[1] else default[1] if default else ""
        lines.append(f"| `{flag}` | `{variable}` | {cell} | {words.replace('|', '&#124;')} |")
    return "\n".join(lines)


def main():
    programs, page, *action = sys.argv[1:]
    with open(page, encoding="utf-8") as f:
        text = f.read()
    made = text
    for name in ("sinter-broker", "sinter-worker"):
        begin, end = f"<!-- settings of {name} -->\n", f"\n<!-- end of {name} -->"
        head, _, rest = made.partition(begin)
        made = head + begin + table(programs, name) + end + rest.partition(end)[2]
    if action == ["update"]:
        with open(page, "w", encoding="utf-8") as f:
            f.write(made)
    elif made != text:
        sys.exit(f"{page} is old: python3 {sys.argv[0]} PROGRAMS {page} update")


main()
