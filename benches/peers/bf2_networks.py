"""Summary networks in BayesFlow 2.0.12, with a coupling flow of four layers behind: bf2_networks.py WHAT STEPS.

Prints one line of JSON: steps per second in the second of two epochs of STEPS steps with batches of 32, simulation
included. WHAT is deep_set or set_transformer (sets of 50 x 4), time_series or time_series_transformer (series of
100 x 2), or image (32 x 32). Models and sizes are those of benches/networks.rs.
"""
import contextlib
import json
import os
import sys
import time

what, steps = sys.argv[1], int(sys.argv[2])
os.environ["KERAS_BACKEND"] = "jax"

with open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet), contextlib.redirect_stdout(quiet):
    import bayesflow as bf
    import keras
    import numpy as np

    rng = np.random.default_rng(2023)

    def prior():
        return dict(theta=rng.normal(size=4))

    def sets(theta):
        return dict(x=rng.normal(loc=theta, size=(50, 4)))

    def series(theta):
        t = np.arange(100)[:, None] / 10
        oscillation = np.exp(-0.1 * t) * np.sin(t * np.exp(0.3 * theta[:2]))
        return dict(x=oscillation + theta[2:] + 0.3 * rng.normal(size=(100, 2)))

    def image(theta):
        y, x = np.mgrid[-2:2:32j, -2:2:32j]
        square = (x - theta[0]) ** 2 + (y - theta[1]) ** 2
        spot = np.exp(-square / (2 * np.exp(0.5 * theta[2]))) * np.exp(0.3 * theta[3])
        return dict(x=(spot + 0.3 * rng.normal(size=(32, 32)))[..., None])

    networks = bf.networks
    simulate, network = {
        "deep_set": (sets, networks.DeepSet),
        "set_transformer": (sets, networks.SetTransformer),
        "time_series": (series, networks.TimeSeriesNetwork),
        "time_series_transformer": (series, networks.TimeSeriesTransformer),
        "image": (image, networks.ConvolutionalNetwork),
    }[what]

    class Clock(keras.callbacks.Callback):
        ends = []

        def on_epoch_end(self, epoch, logs=None):
            self.ends.append(time.time())

    adapter = bf.Adapter().convert_dtype("float64", "float32")
    adapter = adapter.rename("theta", "inference_variables").rename("x", "summary_variables")
    workflow = bf.BasicWorkflow(
        simulator=bf.make_simulator([prior, simulate]),
        adapter=adapter,
        summary_network=network(summary_dim=10),
        inference_network=networks.CouplingFlow(depth=4),
    )
    workflow.fit_online(epochs=2, num_batches_per_epoch=steps, batch_size=32, callbacks=[Clock()])
    rate = steps / (Clock.ends[1] - Clock.ends[0])
print(json.dumps({"what": what, "steps_per_s": rate, "parameters": int(workflow.approximator.count_params())}))
