"""Simulates data as bayesburn asks for them: a request a line in, an answer a line out.

The model: 20 observations of two features around the parameters mu, with unit variance. Only the standard library is needed.
"""

import json
import random
import sys

NUM_OBSERVATIONS = 20

# The loop ends when standard input does: training is over.
for line in sys.stdin:
    request = json.loads(line)
    # All randomness comes from the request's seed, so that a simulation is the same whichever process runs it.
    gauss = random.Random(request["seed"]).gauss
    mu = request["parameters"]
    data = [[gauss(m, 1.0) for m in mu] for _ in range(NUM_OBSERVATIONS)]
    print(json.dumps({"id": request["id"], "data": data}), flush=True)
