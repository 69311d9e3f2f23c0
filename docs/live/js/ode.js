// Walks: dx/dt = (x - D(x, t)) / t, in u = log t, where dx/du = x - D(x, t). Dormand and Prince's
// pair of orders 5 and 4 with its own steps (Hairer, Norsett and Wanner, Solving ODEs I, II.5).

import { denoise } from "./field.js";

const C = [0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1];
const A = [
  [],
  [1 / 5],
  [3 / 40, 9 / 40],
  [44 / 45, -56 / 15, 32 / 9],
  [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
  [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
  [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
];
const E = [71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40];
const MOST_STEPS = 10000;

// Integrate slope(u, x, y) -> [dx, dy] from u0 to u1; returns { x, y, h }, h the last step tried.
export function integrate(slope, x, y, u0, u1, { tolerance = 1e-7, h = 0 } = {}) {
  const direction = Math.sign(u1 - u0);
  let u = u0;
  h = direction * Math.min(Math.abs(h) || 0.05, Math.abs(u1 - u0));
  let first = slope(u, x, y);
  for (let n = 0; n < MOST_STEPS && (u1 - u) * direction > 0; n++) {
    const whole = h;
    if ((u + h - u1) * direction > 0) h = u1 - u;
    const k = [first];
    let px = x, py = y;
    for (let s = 1; s < 7; s++) {
      px = x;
      py = y;
      for (let j = 0; j < s; j++) {
        px += h * A[s][j] * k[j][0];
        py += h * A[s][j] * k[j][1];
      }
      k.push(slope(u + C[s] * h, px, py));
    }
    let ex = 0, ey = 0;
    for (let s = 0; s < 7; s++) {
      ex += h * E[s] * k[s][0];
      ey += h * E[s] * k[s][1];
    }
    const size = 1 + Math.hypot(x, y);
    const error = Math.hypot(ex, ey) / (tolerance * size);
    if (error <= 1) {
      const last = h !== whole;
      u = last ? u1 : u + h;
      [x, y, first] = [px, py, k[6]];
      if (last) h = whole;
    }
    h *= Math.min(5, Math.max(0.2, 0.9 * Math.max(error, 1e-12) ** -0.2));
  }
  return { x, y, h };
}

// Times of a walk, evenly in log t, from T down to `least`.
export function walkTimes(T, least, count) {
  const ratio = Math.log(least / T);
  return Array.from({ length: count }, (_, i) => T * Math.exp((ratio * i) / (count - 1)));
}

// A walk from (x, y) at times[0]: states at all times, and the data point where it ends, E[x_0 | x]
// at the last of them; as a flat array of times.length + 1 points.
export function walk(kernel, points, x, y, times, options = {}) {
  const slope = (u, px, py) => {
    const d = denoise(kernel, points, px, py, Math.exp(u));
    return [px - d[0], py - d[1]];
  };
  const path = new Float64Array(2 * (times.length + 1));
  path.set([x, y]);
  let h = options.h ?? 0;
  for (let i = 1; i < times.length; i++) {
    const u = [Math.log(times[i - 1]), Math.log(times[i])];
    ({ x, y, h } = integrate(slope, x, y, ...u, { ...options, h }));
    path.set([x, y], 2 * i);
  }
  path.set(denoise(kernel, points, x, y, times[times.length - 1]), 2 * times.length);
  return path;
}
