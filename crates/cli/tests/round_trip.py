"""The round trip: data written by NumPy, draws read back by NumPy, safetensors and ArviZ."""
import json, subprocess, sys
import numpy as np, arviz as az
from safetensors.numpy import load_file

bayesburn, posterior = sys.argv[1:]
rng = np.random.default_rng(1)
theta = np.array([[0.5, -0.5, 1.0, 0.0], [-1.0, 0.2, 0.3, 0.9]])
x = theta[:, None, :] + rng.normal(size=(2, 50, 4))
np.save("x.npy", x)                      # float64
np.savez("many.npz", x=x, other=np.arange(3))
np.save("one.npy", x[0].astype(np.float32))

def run(*arguments):
    out = subprocess.run([bayesburn, *arguments, "--json"], check=True, capture_output=True, text=True)
    return json.loads(out.stdout)

said = run("sample", posterior, "--data", "x.npy", "--draws", "2000", "--seed", "3", "--out", "draws.npy")
draws = np.load("draws.npy")
assert draws.shape == (2, 2000, 4) and draws.dtype == np.float32, (draws.shape, draws.dtype)
names = said["parameters"]
np.testing.assert_allclose(said["mean"], draws.mean(axis=1), rtol=1e-4, atol=1e-6)
for data, out in [("many.npz:x", "draws.npz"), ("x.npy", "draws.safetensors"), ("x.npy", "draws.csv"), ("x.npy", "draws.nc")]:
    run("sample", posterior, "--data", data, "--draws", "2000", "--seed", "3", "--out", out)
for arrays in [np.load("draws.npz"), load_file("draws.safetensors")]:
    assert sorted(arrays) == sorted(names)
    for i, name in enumerate(names):
        np.testing.assert_array_equal(arrays[name], draws[:, :, i])
table = np.genfromtxt("draws.csv", delimiter=",", names=True)
np.testing.assert_allclose(table[names[1]], draws[:, :, 1].ravel(), rtol=1e-6)

idata = az.from_netcdf("draws.nc")
assert list(idata.posterior.data_vars) == names and dict(idata.posterior.sizes) == {"chain": 1, "draw": 2000, "data_set": 2}
for i, name in enumerate(names):
    np.testing.assert_array_equal(idata.posterior[name].values[0], draws[:, :, i].T)
assert idata.posterior.attrs["inference_library"] == "bayesburn"
run("sample", posterior, "--data", "one.npy", "--draws", "500", "--out", "one.nc")
summary = az.summary(az.from_netcdf("one.nc"), kind="stats")
print(summary)
assert list(summary.index) == names
assert np.all(np.abs(summary["mean"] - x[0].mean(axis=0)) < 0.2)

# log q of the draws' own parameters, and every weight, by NumPy.
np.savez("theta.npz", **{name: theta[:, i] for i, name in reversed(list(enumerate(names)))})
log_prob = np.array(run("log-prob", posterior, "--data", "x.npy", "--parameters", "theta.npz")["log_prob"])
var = 1 / 51
exact = sum(-0.5 * np.log(2 * np.pi * var) - 0.5 * (theta[:, i] - x[:, :, i].mean(axis=1) * 50 / 51) ** 2 / var for i in range(4))
print("log prob", log_prob, "exact, of a standard normal prior", exact)
said = run("export", posterior, "--out", "weights.npz")
weights = np.load("weights.npz")
assert len(weights.files) == said["arrays"] and sum(w.size for w in weights.values()) == said["numbers"]
print("the round trip holds")
