"""The quickstart in BayesFlow 2.0.12 with its defaults, on jax: bf2_quickstart.py EPOCHS ITERATIONS. Prints one JSON
line.

steps_per_s is of the last epoch, when everything is compiled, simulations included, validation not. It needs two
epochs.
"""
import contextlib, json, os, resource, sys, time
epochs, iterations = int(sys.argv[1]), int(sys.argv[2])
os.environ["KERAS_BACKEND"] = "jax"
import numpy as np

with open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet), contextlib.redirect_stdout(quiet):
    import bayesflow as bf
    import keras
    rng = np.random.default_rng(2023)
    simulator = bf.make_simulator([lambda: dict(theta=rng.normal(size=4)),
                                   lambda theta: dict(x=rng.normal(loc=theta, size=(50, 4)))])
    adapter = (bf.Adapter().as_set("x").convert_dtype("float64", "float32")
               .rename("theta", "inference_variables").rename("x", "summary_variables"))
    workflow = bf.BasicWorkflow(simulator=simulator, adapter=adapter,
                                summary_network=bf.networks.DeepSet(summary_dim=10),
                                inference_network=bf.networks.CouplingFlow(depth=4))

    class Clock(keras.callbacks.Callback):
        steps = []
        def on_train_batch_end(self, batch, logs=None):
            self.steps.append(time.perf_counter())

    start = time.perf_counter()
    history = workflow.fit_online(epochs=epochs, num_batches_per_epoch=iterations, batch_size=32,
                                  validation_data=2000, callbacks=[Clock()])
    wall = time.perf_counter() - start
    last = Clock.steps[-iterations:]
    begin = time.perf_counter()
    for _ in range(200):
        simulator.sample(32)
    simulation = (time.perf_counter() - begin) / 200
    test = simulator.sample(500)
    begin = time.perf_counter()
    workflow.sample(conditions=test, num_samples=1000)
    sampling = time.perf_counter() - begin
print(json.dumps({"peer": "bayesflow 2.0.12 jax", "steps_per_s": (iterations - 1) / (last[-1] - last[0]),
                  "train_s": wall, "val_loss": [float(v) for v in history.history["val_loss"]],
                  "simulate_32_ms": simulation * 1e3, "sample_500x1000_s": sampling,
                  "peak_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                  "parameters": int(workflow.approximator.count_params())}))
