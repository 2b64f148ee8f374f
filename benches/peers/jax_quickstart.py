"""Training steps and draws of the quickstart's networks in jax, jit, on the device that jax finds: jax_quickstart.py
[highest|default].

The argument is the precision of products: `highest` is f32, `default` TF32 on a GPU. Steps are timed with data from the
host and the loss read at each, as bayesburn takes them, and with data that are on the device and the loss read every 20
steps. Simulations are not timed.
"""
import functools
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

DIM, OBSERVATIONS, SUMMARIES, LAYERS, CLAMP = 4, 50, 10, 4, 1.9
PERMUTATIONS = [np.random.RandomState(layer).permutation(DIM) for layer in range(LAYERS)]


def keys(seed):
    key = jax.random.PRNGKey(seed)
    while True:
        key, this = jax.random.split(key)
        yield this


def parameters(architecture):
    key = keys(0)

    def dense(inputs, units):
        return {"w": jax.random.normal(next(key), (inputs, units)) * (2.0 / (inputs + units)) ** 0.5, "b": jnp.zeros(units)}

    def two(inputs, units):
        return [dense(inputs, units), dense(units, units)]

    given = DIM // 2 + SUMMARIES
    if architecture == "default":
        summary = {"embedding": dense(DIM, 64), "joint": [dense(128, 64) for _ in range(2)], "after": dense(64, 64)}

        def net():
            return {"hidden": two(given, 128), "out": dense(128, DIM), "shortcut": jnp.zeros((given, DIM))}
    else:

        def pooled(inputs):
            return {"before": two(inputs, 64), "after": two(64, 64)}

        modules = [{"pooled": pooled(inputs), "joint": two(inputs + 64, 64)} for inputs in (DIM, 64)]
        summary = {"modules": modules, "pooled": pooled(64)}

        def net():
            return {name: {"hidden": two(given, 128), "out": dense(128, DIM // 2)} for name in ("scale", "translation")}

    summary["out"] = dense(64, SUMMARIES)
    flow = [{"first": net(), "second": net(), "scale": jnp.ones(DIM), "bias": jnp.zeros(DIM)} for _ in range(LAYERS)]
    return {"summary": summary, "flow": flow}


def linear(layer, x):
    return x @ layer["w"] + layer["b"]


def through(layers, x):
    for layer in layers:
        x = jax.nn.relu(linear(layer, x))
    return x


def summarize(architecture, p, x):
    def pool(q, h):
        return through(q["after"], through(q["before"], h).mean(1))

    if architecture == "default":
        h = linear(p["embedding"], x)
        for layer in p["joint"]:
            # What the pooled half gives is computed once for each set.
            shared = h.mean(1) @ layer["w"][64:] + layer["b"]
            h = h + jax.nn.relu(h @ layer["w"][:64] + shared[:, None, :])
        return linear(p["out"], jax.nn.relu(linear(p["after"], h.mean(1))))
    h = x
    for module in p["modules"]:
        shared = pool(module["pooled"], h)
        shared = jnp.broadcast_to(shared[:, None, :], h.shape[:2] + (64,))
        h = through(module["joint"], jnp.concatenate([h, shared], -1))
    return linear(p["out"], pool(p["pooled"], h))


def scale_and_translation(architecture, net, given):
    def of(q):
        return linear(q["out"], through(q["hidden"], given))

    if architecture == "default":
        both = of(net) + given @ net["shortcut"]
        s, t = both[:, : DIM // 2], both[:, DIM // 2 :]
    else:
        s, t = of(net["scale"]), of(net["translation"])
    return 2 * CLAMP / np.pi * jnp.arctan(s / CLAMP), t


def forward(architecture, flow, theta, condition):
    log_det = 0.0
    for layer, order in zip(flow, PERMUTATIONS):
        u = (theta * layer["scale"] + layer["bias"])[:, order]
        u1, u2 = u[:, : DIM // 2], u[:, DIM // 2 :]
        s1, t1 = scale_and_translation(architecture, layer["first"], jnp.concatenate([u2, condition], -1))
        v1 = u1 * jnp.exp(s1) + t1
        s2, t2 = scale_and_translation(architecture, layer["second"], jnp.concatenate([v1, condition], -1))
        theta = jnp.concatenate([v1, u2 * jnp.exp(s2) + t2], -1)
        log_det = log_det + jnp.log(jnp.abs(layer["scale"])).sum() + s1.sum(-1) + s2.sum(-1)
    return theta, log_det


def inverse(architecture, flow, z, condition):
    for layer, order in reversed(list(zip(flow, PERMUTATIONS))):
        v1, v2 = z[:, : DIM // 2], z[:, DIM // 2 :]
        s, t = scale_and_translation(architecture, layer["second"], jnp.concatenate([v1, condition], -1))
        u2 = (v2 - t) * jnp.exp(-s)
        s, t = scale_and_translation(architecture, layer["first"], jnp.concatenate([u2, condition], -1))
        u = jnp.concatenate([(v1 - t) * jnp.exp(-s), u2], -1)
        z = (u[:, np.argsort(order)] - layer["bias"]) / layer["scale"]
    return z


def functions(architecture):
    def loss(p, x, theta):
        z, log_det = forward(architecture, p["flow"], theta, summarize(architecture, p["summary"], x))
        return (0.5 * (z**2).sum(-1) - log_det).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(p, m, v, t, x, theta):
        value, g = jax.value_and_grad(loss)(p, x, theta)
        factor = jnp.minimum(1.0, 5.0 / jnp.sqrt(sum((a**2).sum() for a in jax.tree.leaves(g))))
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * factor * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * (factor * g) ** 2, v, g)

        def moved(p, m, v):
            return p - 1e-3 * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-7)

        return jax.tree.map(moved, p, m, v), m, v, value

    @jax.jit
    def draw(p, x, z):
        condition = jnp.repeat(summarize(architecture, p["summary"], x), z.shape[0] // x.shape[0], 0)
        return inverse(architecture, p["flow"], z, condition)

    return step, draw


def rate(step, state, x, theta, losses_every, seconds=1.0):
    """Steps a second, after three that compile them."""
    for t in range(3):
        *state, value = step(*state, float(t + 1), x, theta)
    float(value)
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for _ in range(losses_every):
            *state, value = step(*state, float(steps + 4), x, theta)
            steps += 1
        float(value)
    return steps / (time.perf_counter() - start)


def main():
    precision = sys.argv[1] if len(sys.argv) > 1 else "highest"
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}, products in precision {precision}\n")
    print("| networks | batch | steps/s | simulations/s | on the device, steps/s | simulations/s |\n|---|---|---|---|---|---|")
    of_draws = []
    with jax.default_matmul_precision(precision):
        for architecture in ("default", "v1"):
            step, draw = functions(architecture)
            random = np.random.RandomState(0)
            for batch in (32, 256, 1024, 4096, 8192):
                theta = random.normal(size=(batch, DIM)).astype("f")
                x = (theta[:, None] + random.normal(size=(batch, OBSERVATIONS, DIM))).astype("f")

                def fresh():
                    p = parameters(architecture)
                    return [p, jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p)]

                host = rate(step, fresh(), x, theta, 1)
                device = rate(step, fresh(), jax.device_put(x), jax.device_put(theta), 20)
                print(f"| {architecture} | {batch} | {host:.1f} | {host * batch:.0f} | {device:.1f} | {device * batch:.0f} |", flush=True)
            p = parameters(architecture)
            x = random.normal(size=(500, OBSERVATIONS, DIM)).astype("f")
            z = random.normal(size=(500_000, DIM)).astype("f")
            times = []
            for _ in range(6):
                start = time.perf_counter()
                np.asarray(draw(p, x, z))
                times.append(time.perf_counter() - start)
            ms = sorted(times[1:])[2] * 1e3
            of_draws.append(f"| {architecture} | {ms:.1f} | {5e8 / ms:.0f} |")
    print("\n| networks | 500 x 1000 draws, ms | draws/s |\n|---|---|---|\n" + "\n".join(of_draws))


main()
