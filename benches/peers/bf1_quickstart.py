"""The quickstart in BayesFlow 1.1.6 on TensorFlow: bf1_quickstart.py EPOCHS ITERATIONS. Prints one JSON line.

steps_per_s is of the last epoch, when everything is compiled, simulations included, validation not. It needs two
epochs.
"""
import contextlib, json, os, resource, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np

epochs, iterations = int(sys.argv[1]), int(sys.argv[2])
with open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet), contextlib.redirect_stdout(quiet):
    import bayesflow as bf
    rng = np.random.default_rng(2023)
    prior = bf.simulation.Prior(prior_fun=lambda: rng.normal(size=4))
    simulator = bf.simulation.Simulator(simulator_fun=lambda p: rng.normal(loc=p, size=(50, p.shape[0])))
    model = bf.simulation.GenerativeModel(prior=prior, simulator=simulator)
    amortizer = bf.amortizers.AmortizedPosterior(
        bf.networks.InvertibleNetwork(num_params=4, num_coupling_layers=4,
            coupling_settings={"dense_args": dict(kernel_regularizer=None), "dropout": False}),
        bf.networks.DeepSet(summary_dim=10))
    default, steps = bf.configuration.DefaultPosteriorConfigurator(), []

    def configurator(simulations):
        """Is called in the midst of each step, and for the validation data, which are more."""
        if len(simulations["sim_data"]) == 32:
            steps.append(time.perf_counter())
        return default(simulations)

    trainer = bf.trainers.Trainer(amortizer=amortizer, generative_model=model, configurator=configurator)
    start = time.perf_counter()
    history = trainer.train_online(epochs=epochs, iterations_per_epoch=iterations, batch_size=32, validation_sims=2000)
    wall = time.perf_counter() - start
    last = steps[-iterations:]
    begin = time.perf_counter()
    for _ in range(200):
        model(32)
    simulation = (time.perf_counter() - begin) / 200
    test = default(model(500))
    begin = time.perf_counter()
    amortizer.sample(test, n_samples=1000)
    sampling = time.perf_counter() - begin
print(json.dumps({"peer": "bayesflow 1.1.6 tensorflow", "steps_per_s": (iterations - 1) / (last[-1] - last[0]),
                  "train_s": wall, "val_loss": [float(v) for v in np.array(history["val_losses"].iloc[:, -1])],
                  "simulate_32_ms": simulation * 1e3, "sample_500x1000_s": sampling,
                  "peak_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                  "parameters": int(sum(np.prod(v.shape) for v in amortizer.trainable_variables))}))
