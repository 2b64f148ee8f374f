#!/usr/bin/env bash
# Steps per second of each summary network in bayesburn and in BayesFlow 2, in alternation:
# networks.sh BF2_PYTHON [ROUNDS] [STEPS] [NETWORK...].
set -euo pipefail
bf2=$1 rounds=${2:-5} steps=${3:-100}
shift $(($# < 3 ? $# : 3))
test $# -gt 0 || set -- set_transformer time_series time_series_transformer image
cd "$(dirname "$0")/../.."
cargo bench --bench networks --no-run
rate() { python3 -c 'import json, sys; print(json.loads(sys.stdin.readlines()[-1])["steps_per_s"])'; }
for network in "$@"; do
    for _ in $(seq "$rounds"); do
        ours=$(cargo -q bench --bench networks -- "$network" | rate)
        theirs=$("$bf2" benches/peers/bf2_networks.py "$network" "$steps" | rate)
        echo "$ours $theirs"
    done | python3 -c '
import statistics, sys
pairs = [tuple(map(float, line.split())) for line in sys.stdin]
ratio = statistics.median(ours / theirs for ours, theirs in pairs)
ours, theirs = (statistics.median(column) for column in zip(*pairs))
line = "%s: bayesburn %.1f, BayesFlow 2.0.12 %.1f steps/s, median of %d ratios %.1f"
print(line % (sys.argv[1], ours, theirs, len(pairs), ratio), flush=True)
' "$network"
done
