// The field kernels of the zoo in the plane, d = 2, in closed form.
//
// A kernel is the law of x_t around alpha(t) x_0: psi(r, t) = P(|x_t - alpha x_0| <= r). Under each of
// them dx/dt = (x - D(x, t)) / t with D = E[x_0 | x_t], so one formula gives every field.
//
// Each has: alpha(t); logPhi(r, t), the log density of x_t at distance r; psi and psiInverse; and
// logRadius(r, t), the log density of the radius. `level` is the median radius over sqrt(2).

const TWO_PI = 2 * Math.PI;
const SMALLEST = 1e-150; // tanh and exp densities are infinite at r = 0

const one = () => 1;

// x_t = x_0 + t z, z of radius rho with CDF psi(rho), inverse and log density given.
function selfSimilar({ psi, inverse, logRadius, logPhi }) {
  const logShell = (rho) => Math.log(TWO_PI * Math.max(rho, SMALLEST));
  const phi = logPhi ?? ((rho) => logRadius(rho) - logShell(rho));
  const median = inverse(0.5);
  return {
    alpha: one,
    psi: (r, t) => psi(r / t),
    psiInverse: (q, t) => t * inverse(q),
    logRadius: (r, t) => logRadius(r / t) - Math.log(t),
    logPhi: (r, t) => phi(r / t) - 2 * Math.log(t),
    level: (t) => (t * median) / Math.SQRT2,
    timeAt: (level) => (level * Math.SQRT2) / median,
  };
}

// Student's law with D degrees of freedom: rho^2 / (1 + rho^2) ~ Beta(1, D/2).
function student(D) {
  const logPhi = (rho) => Math.log(D / TWO_PI) - ((2 + D) / 2) * Math.log1p(rho * rho);
  return selfSimilar({
    psi: (rho) => -Math.expm1((-D / 2) * Math.log1p(rho * rho)),
    inverse: (q) => Math.sqrt(Math.expm1((-2 / D) * Math.log1p(-q))),
    logPhi,
    logRadius: (rho) => logPhi(rho) + Math.log(TWO_PI * Math.max(rho, SMALLEST)),
  });
}

function gaussian() {
  const logPhi = (rho) => -Math.log(TWO_PI) - (rho * rho) / 2;
  return selfSimilar({
    psi: (rho) => -Math.expm1((-rho * rho) / 2),
    inverse: (q) => Math.sqrt(-2 * Math.log1p(-q)),
    logPhi,
    logRadius: (rho) => logPhi(rho) + Math.log(TWO_PI * Math.max(rho, SMALLEST)),
  });
}

function tanh() {
  return selfSimilar({
    psi: Math.tanh,
    inverse: Math.atanh,
    logRadius: (rho) => Math.log(4) - 2 * rho - 2 * Math.log1p(Math.exp(-2 * rho)),
  });
}

function exponential() {
  return selfSimilar({
    psi: (rho) => -Math.expm1(-rho),
    inverse: (q) => -Math.log1p(-q),
    logRadius: (rho) => -rho,
  });
}

// x_t = (1 - t) x_0 + t z: the Gaussian law again, around data that shrink.
function flow() {
  return { ...gaussian(), alpha: (t) => 1 - t, level: (t) => t / (1 - t), timeAt: (s) => s / (1 + s) };
}

export const KERNELS = {
  gravity: {
    title: "Gravity",
    formula: "G₁ = C t / (t² + r²)^((d+1)/2)",
    about: "Each data point pulls like a mass, in one dimension more than the data have.",
    make: () => student(1),
  },
  pfgmpp: {
    title: "PFGM++",
    formula: "G₁ = C tᴰ / (t² + r²)^((d+D)/2)",
    about: "Gravity with D extra dimensions: D = 1 is gravity, a large D is Gaussian.",
    make: ({ D }) => student(D),
  },
  gaussian: {
    title: "Gaussian",
    formula: "G₁ = exp(−r² / 2t²) / (2πt²)^(d/2)",
    about: "Ordinary diffusion: data spread by Gaussian noise of size t.",
    make: gaussian,
  },
  tanh: {
    title: "tanh",
    formula: "ψ = tanh(r / t)",
    about: "A radial law by itself: P(radius ≤ r) = tanh(r / t).",
    make: tanh,
  },
  exp: {
    title: "exp",
    formula: "ψ = 1 − exp(−r / t)",
    about: "A radius with an exponential law.",
    make: exponential,
  },
  flow: {
    title: "Flow matching",
    formula: "x_t = (1 − t) x₀ + t z",
    about: "Straight lines from data to Gaussian noise, t from 0 to 1.",
    longest: 0.999,
    make: flow,
  },
};

export function makeKernel(name, options = {}) {
  return KERNELS[name].make(options);
}
