// Times at which a sampler asks its network, and the weights of what it says: the zoo's exponential
// Adams methods, zoo/interfaces/grids.py and plugins/zoo_solvers/linear.py, for one sample.

const CAP = 160; // no interior node of most grids lies above this noise level
const LEAST_RATIO = 1e-3, LARGEST_RATIO = 1e3, INTERVALS = 442;
// Values that predict, and that correct.
const METHODS = {
  ddim: [1, 0],
  "exp-ab2": [2, 2],
  "exp-ab3": [3, 2],
  "exp-abm3": [2, 3],
  "exp-abm4": [3, 4],
};

// The kernel of a manifest: alpha, sigma and the noise level of a typical sample.
export function kernelOf(manifest) {
  const { t_min: first, t_max: last, level, random_level: random } = manifest.kernel;
  const flow = level.kind === "flow";
  const clamp = (t) => Math.min(Math.max(t, first), last);
  return {
    first,
    last,
    random,
    dim: manifest.kernel.dim,
    alpha: (t) => (flow ? 1 - t : 1),
    sigma: (t) => (flow ? t : t * level.factor),
    level: (t) => (flow ? t / (1 - t) : t * level.factor),
    timeAt: (s) => clamp(flow ? 1 / (1 + 1 / s) : s / level.factor),
  };
}

// A sample's own noise level over the typical one, from the distance |x - D| at the start.
export function levelRatio(kernel, distance) {
  const ratio = distance / (kernel.level(kernel.last) * Math.sqrt(kernel.dim));
  return Math.min(Math.max(ratio, LEAST_RATIO), LARGEST_RATIO);
}

// { times, decay, values }: times.length - 1 steps x' = decay x + sum_k values[k] D_{i-k}.
export function plan(kernel, solver, ratio = null) {
  const [predictor, corrector] = METHODS[solver.use] ?? METHODS["exp-abm3"];
  const grid = METHODS[solver.use] ? solver.grid : undefined;
  const own = ratio === null ? 1 : middle(ratio);
  const divided = solver.use === "exp-abm4" && !Array.isArray(grid) && solver.steps > 2;
  const times = gridTimes(kernel, gridOf(grid ?? "focus"), solver.steps - 1, own, divided);
  const alpha = times.map(kernel.alpha), sigma = times.map((t) => kernel.sigma(t) * (ratio ?? 1));
  const part = linearPart(alpha, sigma, solver.scale);
  return { times, decay: part.decay, values: adams(part, predictor, corrector) };
}

// Samples whose ratios are close share the times of the middle between them.
function middle(ratio) {
  const low = Math.log(LEAST_RATIO), width = (Math.log(LARGEST_RATIO) - low) / INTERVALS;
  const number = Math.min(Math.floor((Math.log(ratio) - low) / width), INTERVALS - 1);
  return Math.exp(low + width * (number + 0.5));
}

function gridTimes(kernel, { forward, back, cap = CAP, ofTime }, steps, ratio, divided) {
  const count = divided ? steps - 1 : steps, ends = [kernel.last, kernel.first];
  const levels = ends.map((t) => Math.min(kernel.level(t) * ratio, cap));
  const between = ([from, to], i) => from + ((to - from) * i) / count;
  const inside = (i) => {
    if (ofTime) return back(between(ends.map(forward), i));
    if (levels[0] === levels[1]) return between(ends, i);
    return kernel.timeAt(back(between(levels.map(forward), i)) / ratio);
  };
  const times = [kernel.last];
  for (let i = 1; i < count; i++) times.push(inside(i));
  times.push(kernel.first);
  if (divided) times.splice(1, 0, times[0] + (times[1] - times[0]) / Math.sqrt(steps));
  return times;
}

const same = (value) => value;
const GRIDS = {
  edm: ({ rho = 7, cap }) => ({ forward: (s) => s ** (1 / rho), back: (p) => p ** rho, cap }),
  angle: ({ pivot = 3 }) => ({ forward: (s) => Math.atan(s / pivot), back: (p) => pivot * Math.tan(p), cap: Infinity }),
  focus: ({ pivot = 3, width = 0.5 }) => ({
    forward: (s) => Math.asinh(Math.log(s / pivot) / width),
    back: (p) => pivot * Math.exp(width * Math.sinh(p)),
  }),
  log: () => ({ forward: Math.log, back: Math.exp }),
  radius: () => ({ forward: same, back: same }),
  "log-time": () => ({ forward: Math.log, back: Math.exp, ofTime: true }),
  time: () => ({ forward: same, back: same, ofTime: true }),
};

function gridOf(grid) {
  if (Array.isArray(grid)) {
    const logs = grid.map(Math.log).reverse(), numbers = logs.map((_, i) => i);
    return {
      forward: (s) => piecewise(Math.log(s), logs, numbers),
      back: (p) => Math.exp(piecewise(p, numbers, logs)),
      cap: Math.max(CAP, grid[0]),
    };
  }
  const { use, ...options } = typeof grid === "string" ? { use: grid } : grid;
  return GRIDS[use](options);
}

function piecewise(x, knots, values) {
  let right = knots.findIndex((knot) => knot >= x);
  right = Math.min(Math.max(right < 0 ? knots.length : right, 1), knots.length - 1);
  const f = (x - knots[right - 1]) / (knots[right] - knots[right - 1]);
  return values[right - 1] + f * (values[right] - values[right - 1]);
}

// Nodes and weights of Gauss and Legendre on (0, 1).
function gauss(count) {
  return Array.from({ length: count }, (_, i) => {
    let x = Math.cos((Math.PI * (i + 0.75)) / (count + 0.5)), slope = 1;
    for (let n = 0; n < 20; n++) {
      let [p, before] = [1, 0];
      for (let k = 1; k <= count; k++) [p, before] = [((2 * k - 1) * x * p - (k - 1) * before) / k, p];
      slope = (count * (x * p - before)) / (x * x - 1);
      x -= p / slope;
    }
    return [(1 - x) / 2, 1 / ((1 - x * x) * slope * slope)];
  });
}
const GAUSS = gauss(12);
const NEAREST_FIRST = [0, 1, -1, -2];

// The linear part of the ODE, integrated over every step; D is interpolated in the place
// 1 / (1 + exp(2 psi)), psi = asinh(scale alpha / sigma).
function linearPart(alpha, sigma, scale) {
  const place = (psi) => 1 / (1 + Math.exp(2 * psi));
  const u = alpha.map((a, i) => Math.asinh((scale * a) / sigma[i]));
  const nodes = u.map(place), node = (i) => (i >= 0 ? nodes[i] : i === -1 ? 1e30 : 2e30);
  const weights = (i, offsets) => {
    const order = [...offsets].sort((a, b) => NEAREST_FIRST.indexOf(a) - NEAREST_FIRST.indexOf(b));
    const width = u[i + 1] - u[i];
    const columns = order.map((_, k) =>
      GAUSS.reduce((sum, [x, w]) => {
        const psi = u[i] + width * x;
        let value = (Math.cosh(psi) / scale) * w * width * sigma[i + 1];
        for (let j = 0; j < k; j++) value *= place(psi) - node(i + order[j]);
        return sum + value;
      }, 0),
    );
    for (let j = order.length - 2; j >= 0; j--) {
      for (let k = j + 1; k < order.length; k++) {
        columns[k] /= node(i + order[k]) - node(i + order[j]);
        columns[j] -= columns[k];
      }
    }
    return offsets.map((offset) => columns[order.indexOf(offset)]);
  };
  return { steps: u.length - 1, decay: sigma.slice(1).map((s, i) => s / sigma[i]), weights };
}

// Weights of D_i, D_{i-1}, ... in every step; a corrector is folded into the step after it.
function adams(part, predictor, corrector) {
  const back = (count, from) => Array.from({ length: count }, (_, i) => from - i);
  const table = Array.from({ length: part.steps }, (_, i) => part.weights(i, back(predictor, 0)));
  if (!corrector) return table;
  const width = Math.max(predictor, corrector);
  const predicted = table.map((row) => [...row, ...Array(width - row.length).fill(0)]);
  const found = predicted.map((row) => [...row]);
  const count = Math.min(corrector > predictor ? part.steps : 1, part.steps - 1);
  for (let i = 0; i < count; i++) {
    const corrected = part.weights(i, back(corrector, 1));
    for (let k = 0; k < width; k++) {
      const delta = (corrected[k] ?? 0) - (k ? predicted[i][k - 1] : 0);
      found[i + 1][k] += part.decay[i + 1] * delta;
    }
  }
  return found;
}
