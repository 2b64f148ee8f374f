#!/usr/bin/env bash
# Compares what two versions of the examples compute, byte for byte: weights, histories, draws, reports and figures.
#
#   benches/same_bits.sh BEFORE AFTER
#
# BEFORE and AFTER are folders with the examples' programs, such as target/release/examples of two checkouts that were
# built by `cargo build --release --examples` on this machine. Files of JSON are compared as data, without times and
# without what says the version of a format. Exits with 0 (the same) or 1 (something differs). Needs Python 3.
set -euo pipefail
before=$(realpath "$1") after=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

run() {
    local name=$1 program=$2
    shift 2
    for version in before after; do
        mkdir -p "$work/$version/$name"
        (cd "$work/$version/$name" && "${!version}/$program" "$@" > output.txt 2> /dev/null) ||
            echo "$name fails $version"
    done
    echo "ran $name"
}

run quickstart quickstart --quick
run quickstart_v1 quickstart --quick --architecture v1
run training_modes training_modes --quick
run gaussian_amortized gaussian_amortized
run multi_round multi_round
run sbibm sbibm --task two_moons --simulations 2000

python3 - "$work" << 'PYTHON'
import json, pathlib, re, sys

before, after = (pathlib.Path(sys.argv[1]) / version for version in ("before", "after"))
# What a redesign may rename: one description for every kind of saved amortizer.
RENAMED = {"posterior.json": "amortizer.json"}
SKIPPED = ("checksums.txt", ".lock", "optimizer.bpk")  # names of renamed files; a map without order
VERSIONS = ("format_version", "kind")
TIMED = ("training_modes/output.txt", "training_modes/out/training_modes/losses.png")  # a table and a figure of seconds


def plain(value):
    """JSON without times, speeds and versions."""
    if isinstance(value, dict):
        timed = lambda key: key.endswith("_s") or "per_s" in key or key == "seconds"
        return {k: plain(v) for k, v in value.items() if not timed(k) and k not in VERSIONS}
    return [plain(v) for v in value] if isinstance(value, list) else value


def find(folder, relative):
    path = folder / relative
    renamed = path.with_name(RENAMED.get(path.name, path.name))
    return path if path.exists() else renamed


compared, different = 0, []
for path in sorted(p for p in before.rglob("*") if p.is_file()):
    relative = path.relative_to(before)
    if path.name in SKIPPED or str(relative) in TIMED or path.name.startswith("events.out"):
        continue
    other = find(after, relative)
    compared += 1
    if not other.exists():
        different.append(f"{relative}: only before")
        continue
    a, b = path.read_bytes(), other.read_bytes()
    if path.suffix == ".json":
        a, b = plain(json.loads(a)), plain(json.loads(b))
    elif path.name == "output.txt":  # times, and speeds
        a, b = (re.sub(rb"[\d.]+ ?(m?s|min|steps/s|h)\b", b"", text) for text in (a, b))
    if a != b:
        different.append(str(relative))
print(f"{compared} files compared, {len(different)} differ")
print("\n".join(different))
sys.exit(bool(different))
PYTHON
