#!/usr/bin/env bash
# Steps per second of the v1 architecture in bayesburn and of both peers, in alternation:
# pairs.sh BF1_PYTHON BF2_PYTHON [ROUNDS] [ITERATIONS].
# Each peer trains two epochs of ITERATIONS steps a round, of which the second counts.
set -euo pipefail
bf1=$1 bf2=$2 rounds=${3:-5} iterations=${4:-500}
cd "$(dirname "$0")/../.."
cargo bench --bench figures --no-run
rate() { python3 -c 'import json, sys; print(json.loads(sys.stdin.readlines()[-1])["steps_per_s"])'; }
for _ in $(seq "$rounds"); do
    ours=$(cargo -q bench --bench figures -- steps v1 32 | tail -1)
    one=$("$bf1" benches/peers/bf1_quickstart.py 2 "$iterations" | rate)
    two=$("$bf2" benches/peers/bf2_quickstart.py 2 "$iterations" | rate)
    echo "$ours $one $two"
done | python3 -c '
import statistics, sys
rows = []
for line in sys.stdin:
    ours, one, two = map(float, line.split())
    rows.append((ours, one, two, ours / one, ours / two))
    line = "bayesburn %.0f, BayesFlow 1.1.6 %.1f, BayesFlow 2.0.12 %.1f steps/s: ratios %.2f and %.2f"
    print(line % rows[-1], flush=True)
medians = tuple(statistics.median(column) for column in zip(*rows))
print("medians: %.0f, %.1f and %.1f steps/s, ratios %.2f and %.2f" % medians)
'
