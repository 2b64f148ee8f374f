"""Computes what `two_sample.json` holds: the test for misspecification and the local classifier two-sample test of sbi 0.27.0.

python3 -m venv venv && venv/bin/pip install sbi==0.27.0 && venv/bin/python two_sample.py

It also makes the arrays: simulated and observed data, and a normal model whose posterior is shifted where the first number of the data is above 0.
"""

import json

import numpy as np
import torch
from sbi.diagnostics.lc2st import LC2ST
from sbi.diagnostics.misspecification import calc_misspecification_mmd, compute_rbf_mmd

rng = np.random.default_rng(7)
expected = {}

reference = rng.normal(size=(200, 2)).astype("<f4")
usual = rng.normal(size=(5, 2)).astype("<f4")
unusual = (rng.normal(size=(5, 2)) + [1.2, 0.0]).astype("<f4")
np.save("mmd_reference.npy", reference)
double = lambda a: torch.tensor(a.astype("float64"))
for name, observed in [("usual", usual), ("unusual", unusual)]:
    np.save(f"mmd_{name}.npy", observed)
    torch.manual_seed(1)
    p_value, _ = calc_misspecification_mmd(double(observed), double(reference), n_shuffle=2000)
    expected[f"mmd_{name}"] = {
        "squared": compute_rbf_mmd(double(observed), double(reference), bandwidth=1.0, mode="biased").item(),
        "p_value": float(p_value),
    }

M, L = 1000, 500
posterior = lambda x: x / 2 + np.where(x[:, :1] > 0, [0.7, 0.0], 0.0) + np.sqrt(0.5) * rng.normal(size=x.shape)
truths = rng.normal(size=(M, 2))
x = truths + rng.normal(size=(M, 2))
draws = posterior(x)
for name, array in [("truths", truths), ("x", x), ("draws", draws)]:
    np.save(f"lc2st_{name}.npy", array.astype("<f4"))
tensor = lambda a: torch.tensor(a.astype("float32"))
test = LC2ST(thetas=tensor(truths), xs=tensor(x), posterior_samples=tensor(draws), seed=1, num_trials_null=100)
test.train_under_null_hypothesis()
test.train_on_observed_data()
for name, observed in [("wrong", np.array([1.0, 0.5])), ("right", np.array([-1.0, 0.5]))]:
    of_observed = posterior(np.tile(observed, (L, 1))).astype("<f4")
    np.save(f"lc2st_at_{name}.npy", of_observed)
    theta_o, x_o = torch.tensor(of_observed), tensor(observed)
    expected[f"lc2st_{name}"] = {
        "x": observed.tolist(),
        "statistic": float(test.get_statistic_on_observed_data(theta_o=theta_o, x_o=x_o)),
        "p_value": float(test.p_value(theta_o=theta_o, x_o=x_o)),
    }

with open("two_sample.json", "w") as file:
    json.dump(expected, file, indent=1)
print(json.dumps(expected, indent=1))
