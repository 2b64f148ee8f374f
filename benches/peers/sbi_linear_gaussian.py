"""The linear Gaussian example in sbi 0.27: sbi_linear_gaussian.py [SEED]. Prints one JSON line for one round, and one
for two.

Seconds of training are without simulations in one round, and with them in two, as `figures inference` has them.
"""
import contextlib, json, os, sys, tempfile, time

import torch

seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
torch.manual_seed(seed)
os.chdir(tempfile.mkdtemp())  # sbi writes logs where it runs
with open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet), contextlib.redirect_stdout(quiet):
    from sbi.inference import NPE
    from sbi.utils import BoxUniform

    prior = BoxUniform(low=-2 * torch.ones(3), high=2 * torch.ones(3))
    observed = torch.zeros(1, 3)

    def simulate(theta):
        return theta + 1.0 + 0.1 * torch.randn_like(theta)

    def negative_log_likelihood(posterior):
        """Of 10,000 simulations, corrected for what leaks out of the box, each by 100 draws."""
        theta = prior.sample((10_000,))
        x = simulate(theta)
        with torch.no_grad():
            leaking = posterior.posterior_estimator.log_prob(theta.unsqueeze(0), condition=x).squeeze(0)
            draws = posterior.posterior_estimator.sample((100,), condition=x)
        inside = (draws.abs() <= 2).all(-1).float().mean(0)
        return -(leaking - inside.log()).mean().item()

    theta = prior.sample((2000,))
    inference = NPE(prior=prior, show_progress_bars=False)
    inference.append_simulations(theta, simulate(theta))
    start = time.perf_counter()
    inference.train()
    trained = time.perf_counter() - start
    posterior = inference.build_posterior()
    start = time.perf_counter()
    posterior.sample((10_000,), x=observed, show_progress_bars=False)
    sampled = time.perf_counter() - start
    once = {"rounds": 1, "simulations": 2000, "epochs": inference.summary["epochs_trained"][-1], "train_s": trained,
            "nll_corrected": negative_log_likelihood(posterior), "sample_10000_s": sampled}

    inference, proposal = NPE(prior=prior, show_progress_bars=False), prior
    start = time.perf_counter()
    for _ in range(2):
        theta = proposal.sample((500,))
        inference.append_simulations(theta, simulate(theta), proposal=proposal).train()
        proposal = inference.build_posterior().set_default_x(observed)
    twice = {"rounds": 2, "simulations": 1000, "train_s": time.perf_counter() - start}
for line in (once, twice):
    print(json.dumps({"peer": "sbi 0.27"} | line))
