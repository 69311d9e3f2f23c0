// Sets of data points: ready-made ones, and those of a CSV file.

const circle = (n, r, at = [0, 0]) =>
  Array.from({ length: n }, (_, i) => {
    const a = (2 * Math.PI * i) / n + Math.PI / 2;
    return [at[0] + r * Math.cos(a), at[1] + r * Math.sin(a)];
  });

const arc = (n, r, from, to, at) =>
  Array.from({ length: n }, (_, i) => {
    const a = from + ((to - from) * i) / (n - 1);
    return [at[0] + r * Math.cos(a), at[1] + r * Math.sin(a)];
  });

export const PRESETS = {
  "Three points": () => [[-0.8, -0.5], [0.9, -0.3], [0, 0.85]],
  "One point": () => [[0, 0]],
  "Two points": () => [[-0.7, 0], [0.7, 0]],
  Ring: () => circle(24, 0.9),
  "Two moons": () => [
    ...arc(22, 0.8, 0, Math.PI, [-0.35, -0.15]),
    ...arc(22, 0.8, Math.PI, 2 * Math.PI, [0.35, 0.15]),
  ],
  Smile: () => [
    ...circle(34, 1),
    ...arc(11, 0.6, Math.PI * 1.15, Math.PI * 1.85, [0, 0.05]),
    ...circle(5, 0.07, [-0.35, 0.35]),
    ...circle(5, 0.07, [0.35, 0.35]),
  ],
  Checkers: () => {
    const found = [];
    for (let i = 0; i < 6; i++) for (let j = 0; j < 6; j++) if ((i + j) % 2) found.push([(i - 2.5) / 2.5, (j - 2.5) / 2.5]);
    return found;
  },
};

export const MOST_POINTS = 400;

// Points of the first two columns of a CSV file, moved and scaled together into [-1, 1]^2.
// A line that is no two numbers is refused, unless it is the first that is not blank: a header.
export function parseCsv(text) {
  const points = [];
  let header = true;
  text.split(/\r?\n/).forEach((line, i) => {
    const row = line.trim();
    if (!row) return;
    const [x, y] = cells(row).map((cell) => (cell === "" ? NaN : Number(cell)));
    if (Number.isFinite(x) && Number.isFinite(y)) points.push([x, y]);
    else if (!header) throw new Error(`line ${i + 1} is “${row.slice(0, 40)}”; expected two numbers, as in 0.5, -1.2`);
    header = false;
  });
  if (!points.length) throw new Error("the file has no line with two numbers, as in 0.5, -1.2");
  return scaled(thinned(points));
}

// The first two cells of a row. Between semicolons or tabs a comma is a decimal one.
function cells(row) {
  const mark = ["\t", ";"].find((each) => row.includes(each));
  const found = mark ? row.split(mark).map((cell) => cell.trim().replace(",", ".")) : row.split(/\s*,\s*|\s+/);
  return found.slice(0, 2);
}

const thinned = (points) => {
  const count = Math.min(points.length, MOST_POINTS);
  return Array.from({ length: count }, (_, i) => points[Math.floor((i * points.length) / count)]);
};

function scaled(points) {
  const ends = [0, 1].map((c) => {
    const values = points.map((p) => p[c]);
    return [Math.min(...values), Math.max(...values)];
  });
  const half = Math.max(...ends.map(([low, high]) => (high - low) / 2)) || 1;
  return points.map((p) => p.map((v, c) => (v - (ends[c][0] + ends[c][1]) / 2) / half));
}
