"""Computes what `expected.json` holds: statistics of BayesFlow 2.0.12 and sbi 0.27.0 on `draws.npy` and `truths.npy`.

python3 -m venv venv && venv/bin/pip install bayesflow==2.0.12 sbi==0.27.0 && KERAS_BACKEND=torch venv/bin/python reference.py

It also makes the two arrays: a conjugate normal model with draws that are too narrow in the second parameter and too high in the third.
"""

import json
import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import bayesflow as bf
import numpy as np
import torch
from bayesflow.diagnostics.metrics.calibration_log_gamma import gamma_discrepancy, gamma_null_distribution
from bayesflow.utils.ecdf.ranks import distance_ranks
from bayesflow.utils.plot_utils import compute_empirical_coverage
from sbi.diagnostics.sbc import check_uniformity_frequentist
from sbi.diagnostics.tarp import _run_tarp, check_tarp

M, L, D = 120, 49, 3
rng = np.random.default_rng(2023)
truths = rng.normal(size=(M, D))
x = truths + rng.normal(size=(M, D))
draws = x[:, None] / 2 + np.sqrt(0.5) * np.array([1.0, 0.7, 1.0]) * rng.normal(size=(M, L, D)) + np.array([0, 0, 0.25])
draws, truths = draws.astype("<f4"), truths.astype("<f4")
np.save("draws.npy", draws)
np.save("truths.npy", truths)

metrics = bf.diagnostics.metrics
ranks = (draws < truths[:, None]).sum(axis=1)
expected = {"ranks_sum": ranks.sum(axis=0).tolist()}
# Between interpolated quantiles of L draws lies alpha (L - 1) / (L + 1) on average, so that BayesFlow's error has a floor. Without it, the integral
# transform of a truth of rank r is uniform between r / (L + 1) and (r + 1) / (L + 1), and coverages are differences of its distribution function.
expected["calibration_error_of_quantiles"] = metrics.calibration_error(draws, truths)["values"].tolist()
alphas = np.linspace(0.005, 0.995, 20)[:, None, None]
below = lambda u: np.clip(u * (L + 1) - ranks, 0, 1).mean(axis=1)
coverages = below((1 + alphas) / 2) - below((1 - alphas) / 2)
expected["calibration_error"] = np.median(np.abs(coverages - alphas[:, 0]), axis=0).tolist()
expected["rmse"] = metrics.root_mean_squared_error(draws, truths, normalize=None)["values"].tolist()
np.random.seed(1)
expected["normalized_rmse_resampled"] = metrics.root_mean_squared_error(draws, truths, normalize="prior")["values"].tolist()
expected["correlation"] = metrics.correlation(draws, truths)["values"].tolist()
expected["gamma"] = [gamma_discrepancy(ranks[:, i], num_post_draws=L) for i in range(D)]
np.random.seed(2)
null = np.quantile(gamma_null_distribution(M, L, 20_000), 0.05)
expected["log_gamma_simulated"] = [float(np.log(gamma / null)) for gamma in expected["gamma"]]

# The coverage of an interval from the i-th to the j-th of sorted draws is (j - i) / (L + 1); BayesFlow says (j - i + 1) / (L + 1) of the same counts.
widths = np.arange(0, L + 2) / (L + 1)
coverage = compute_empirical_coverage(draws, truths, widths)
expected["central_coverage"] = {
    "claimed_probability": coverage["width_represented"][:, 0].tolist(),
    "coverage": coverage["coverage_estimates"].T.tolist(),
}

# Distances to the origin, all parameters together.
expected["distance_ranks"] = (distance_ranks(draws, truths, stacked=True)[:, 0] * L).round().astype(int).tolist()

# TARP, with references that are given: the first draw of another data set.
references = np.roll(draws[:, 0], 1, axis=0)
np.save("references.npy", references)
as_tensor = lambda a: torch.tensor(np.ascontiguousarray(a))
samples = as_tensor(draws.transpose(1, 0, 2))
theta, reference = as_tensor(truths), as_tensor(references)
low, high = theta.min(dim=0, keepdim=True).values, theta.max(dim=0, keepdim=True).values
scale = lambda t: (t - low) / (high - low + 1e-10)
distance = lambda a, b: torch.sqrt(torch.sum((a - b) ** 2, dim=-1))
inside = (distance(scale(reference), scale(samples)) < distance(scale(reference), scale(theta))).sum(dim=0)
expected["tarp_ranks"] = inside.tolist()
ecp, alpha = _run_tarp(samples, theta, reference, num_bins=12, z_score_theta=True)
expected["tarp_sbi"] = {"ecp": ecp.tolist(), "alpha": alpha.tolist(), "area_to_curve": float(check_tarp(ecp, alpha)[0])}

# sbi compares ranks with numbers that are uniform on [0, L].
expected["ks_p_values_continuous"] = check_uniformity_frequentist(torch.tensor(ranks, dtype=torch.float32), L).tolist()

# Posterior probabilities of three models.
logits = rng.normal(size=(300, 3))
probabilities = (np.exp(1.3 * logits) / np.exp(1.3 * logits).sum(axis=1, keepdims=True)).astype("<f4")
models = np.array([rng.choice(3, p=np.exp(row) / np.exp(row).sum()) for row in logits])
np.save("probabilities.npy", probabilities)
np.save("models.npy", models.astype("<i8"))
calibration = metrics.expected_calibration_error(probabilities, np.eye(3)[models], return_probs=True)
expected["expected_calibration_error"] = calibration["values"].tolist()
expected["probabilities_predicted"] = [p.tolist() for p in calibration["probs_pred"]]
expected["probabilities_true"] = [p.tolist() for p in calibration["probs_true"]]

with open("expected.json", "w") as file:
    json.dump(expected, file, indent=1)
