"""The model of examples/epidemic in BayesFlow 2.0.12, on jax: bf2_epidemic.py EPOCHS ITERATIONS [TEST].

Prints one line of JSON: seconds of training (compilation included), steps per second of the last epoch, and the mean
negative log posterior density of TEST (4,000) fresh simulations in units of the parameters, as summary.json of the
example has it. Sizes of networks and batches are those of the example, the learning rate is BayesFlow's default.
"""
import contextlib
import json
import os
import sys
import time

epochs, iterations = int(sys.argv[1]), int(sys.argv[2])
test = int(sys.argv[3]) if len(sys.argv) > 3 else 4000
os.environ["KERAS_BACKEND"] = "jax"

with open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet), contextlib.redirect_stdout(quiet):
    import bayesflow as bf
    import keras
    import numpy as np

    DAYS, POPULATION, FIRST_INFECTIOUS, REPORTING_SHAPE = 60, 10_000, 5, 10.0
    rng = np.random.default_rng(2023)
    keras.utils.set_random_seed(2023)

    def prior():
        return dict(r_0=rng.lognormal(np.log(2.5), 0.4), duration=rng.lognormal(np.log(6), 0.4),
                    detection=rng.beta(2, 4))

    def epidemic(r_0, duration, detection):
        susceptible, infectious = POPULATION - FIRST_INFECTIOUS, FIRST_INFECTIOUS
        infections = np.zeros(DAYS)
        for day in range(DAYS):
            infected = rng.binomial(susceptible, -np.expm1(-r_0 * infectious / (duration * POPULATION)))
            recovered = rng.binomial(infectious, -np.expm1(-1 / duration))
            susceptible -= infected
            infectious += infected - recovered
            infections[day] = infected
        factor = rng.gamma(REPORTING_SHAPE, 1 / REPORTING_SHAPE, size=DAYS)
        return dict(cases=np.log1p(rng.poisson(detection * infections * factor))[:, None])

    adapter = (bf.Adapter().convert_dtype("float64", "float32")
               .constrain(["r_0", "duration"], lower=0).constrain("detection", lower=0, upper=1)
               .concatenate(["r_0", "duration", "detection"], into="inference_variables")
               .rename("cases", "summary_variables"))
    simulator = bf.make_simulator([prior, epidemic])
    workflow = bf.BasicWorkflow(
        simulator=simulator,
        adapter=adapter,
        summary_network=bf.networks.TimeSeriesNetwork(summary_dim=12, recurrent_dim=64, dropout=0.0),
        inference_network=bf.networks.CouplingFlow(depth=4),
    )

    class Clock(keras.callbacks.Callback):
        ends = []

        def on_epoch_end(self, epoch, logs=None):
            self.ends.append(time.perf_counter())

    start = time.perf_counter()
    workflow.fit_online(epochs=epochs, num_batches_per_epoch=iterations, batch_size=32, callbacks=[Clock()])
    train_s = time.perf_counter() - start
    last = Clock.ends[-1] - (Clock.ends[-2] if epochs > 1 else start)
    log_prob = np.asarray(workflow.log_prob(simulator.sample(test)))
print(json.dumps({"peer": "bayesflow 2.0.12 jax", "train_s": train_s, "steps_per_s": iterations / last,
                  "val_loss": float(-log_prob.mean()), "val_loss_se": float(log_prob.std() / test ** 0.5),
                  "parameters": int(workflow.approximator.count_params())}))
