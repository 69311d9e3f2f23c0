// Random numbers from a seed: the same seed, the same numbers, in every browser.

// sfc32 (PractRand), seeded by a whole number; returns numbers in (0, 1).
export function uniforms(seed) {
  let a = 0x9e3779b9, b = 0x243f6a88, c = seed | 0, d = ((seed / 2 ** 32) | 0) + 1;
  const next = () => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + t) | 0;
    return ((t >>> 0) + 0.5) / 2 ** 32;
  };
  for (let i = 0; i < 15; i++) next();
  return next;
}

// Standard normal numbers by Box and Muller.
export function normals(next) {
  let spare = null;
  return () => {
    if (spare !== null) {
      const kept = spare;
      spare = null;
      return kept;
    }
    const r = Math.sqrt(-2 * Math.log(next())), angle = 2 * Math.PI * next();
    spare = r * Math.sin(angle);
    return r * Math.cos(angle);
  };
}
