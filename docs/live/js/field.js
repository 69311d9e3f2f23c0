// The exact field of a set of points, no network: sums over the points, weighted by how likely each
// is the source of x, w_i = softmax log G_1(x, x_i, t).

// Points are flat arrays [x_0, y_0, x_1, y_1, ...].

export function logWeights(kernel, points, x, y, t, out) {
  const alpha = kernel.alpha(t);
  let top = -Infinity;
  for (let i = 0; i < points.length / 2; i++) {
    const r = Math.hypot(x - alpha * points[2 * i], y - alpha * points[2 * i + 1]);
    out[i] = kernel.logPhi(r, t);
    if (out[i] > top) top = out[i];
  }
  return top;
}

// E[x_0 | x_t = (x, y)] as [x, y].
export function denoise(kernel, points, x, y, t) {
  const logs = scratch(points.length / 2);
  const top = logWeights(kernel, points, x, y, t, logs);
  let total = 0, dx = 0, dy = 0;
  for (let i = 0; i < logs.length; i++) {
    const w = Math.exp(logs[i] - top);
    total += w;
    dx += w * points[2 * i];
    dy += w * points[2 * i + 1];
  }
  return [dx / total, dy / total];
}

// dx/dt at (x, y).
export function field(kernel, points, x, y, t) {
  const [dx, dy] = denoise(kernel, points, x, y, t);
  return [(x - dx) / t, (y - dy) / t];
}

// log p_t(x, y) = log of the mean of G_1 over the points, in nats.
export function logDensity(kernel, points, x, y, t) {
  const logs = scratch(points.length / 2);
  const top = logWeights(kernel, points, x, y, t, logs);
  let total = 0;
  for (let i = 0; i < logs.length; i++) total += Math.exp(logs[i] - top);
  return top + Math.log(total / logs.length);
}

let kept = new Float64Array(0);
function scratch(size) {
  if (kept.length !== size) kept = new Float64Array(size);
  return kept;
}
