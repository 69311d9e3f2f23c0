// A sampler in the browser: the network of an export, asked along the times of every sample.

import { kernelOf, levelRatio, plan } from "./grid.js";

// Walk from noise (n, d) to data. denoise(x, t) -> E[x_0 | x_t], both Float32Array, t of n times.
// Yields { step, steps, x, guess } after every evaluation; at the end x is data.
export async function* sample(manifest, denoise, noise, n) {
  const kernel = kernelOf(manifest), d = kernel.dim, { solver } = manifest;
  const steps = solver.steps;
  let x = Float64Array.from(noise);
  const ask = (t) => denoise(Float32Array.from(x), Float32Array.from(t));
  let guess = await ask(Array(n).fill(kernel.last));
  const shared = kernel.random ? null : plan(kernel, solver);
  const plans = Array.from({ length: n }, (_, i) => shared ?? plan(kernel, solver, levelRatio(kernel, distance(x, guess, i, d))));
  yield { step: 0, steps, x, guess };
  let values = [guess];
  for (let s = 0; s < steps - 1; s++) {
    const next = new Float64Array(n * d);
    plans.forEach(({ decay, values: weights }, i) => {
      for (let k = i * d; k < (i + 1) * d; k++) {
        let sum = decay[s] * x[k];
        for (let j = 0; j < Math.min(values.length, weights[s].length); j++) sum += weights[s][j] * values[j][k];
        next[k] = sum;
      }
    });
    x = next;
    guess = await ask(plans.map(({ times }) => times[s + 1]));
    values = [guess, ...values].slice(0, 4);
    yield { step: s + 1, steps, x, guess };
  }
  yield { step: steps, steps, x: clamped(guess, manifest.data.range), guess };
}

function distance(x, guess, i, d) {
  let sum = 0;
  for (let k = i * d; k < (i + 1) * d; k++) sum += (x[k] - guess[k]) ** 2;
  return Math.sqrt(sum);
}

function clamped(values, range) {
  return range ? Float64Array.from(values, (v) => Math.min(Math.max(v, range[0]), range[1])) : Float64Array.from(values);
}
