// Where walks begin: points of the prior, the kernel's own law around the origin at t = T.

import { normals, uniforms } from "./random.js";

const GOLDEN = Math.PI * (3 - Math.sqrt(5));

// `count` points that share the prior evenly: each stands for 1 / count of it.
export function evenStarts(kernel, T, count) {
  return Array.from({ length: count }, (_, i) => polar(kernel.psiInverse((i + 0.5) / count, T), i * GOLDEN));
}

// `count` points drawn from the prior.
export function randomStarts(kernel, T, count, seed) {
  const next = uniforms(seed);
  return Array.from({ length: count }, () => polar(kernel.psiInverse(next(), T), 2 * Math.PI * next()));
}

const polar = (r, angle) => [r * Math.cos(angle), r * Math.sin(angle)];

// Points (n, d) of a radial law in any dimension, from the `noise` of an export's manifest.
export function noiseOf(law, n, shape, seed) {
  const d = shape.reduce((a, b) => a * b, 1), out = new Float32Array(n * d);
  for (let i = 0; i < n; i++) {
    const next = uniforms(seed * 65536 + i), normal = normals(next);
    const q = next(), row = out.subarray(i * d, (i + 1) * d);
    let squares = 0;
    for (let j = 0; j < d; j++) squares += (row[j] = normal()) ** 2;
    const scale = law.law === "radial" ? radius(law, q) / Math.sqrt(squares) : law.scale;
    for (let j = 0; j < d; j++) row[j] *= scale;
  }
  return out;
}

// The radius whose probability is q; its log is linear in logit(q) between those of the table.
export function radius(law, q) {
  const [low, high] = law.logit, logs = law.log_radius;
  const place = ((Math.log(q / (1 - q)) - low) / (high - low)) * (logs.length - 1);
  const left = Math.min(Math.max(Math.floor(place), 0), logs.length - 2);
  const f = Math.min(Math.max(place - left, 0), 1);
  return Math.exp(logs[left] * (1 - f) + logs[left + 1] * f);
}
