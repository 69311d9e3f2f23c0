// The first tab: points, a kernel and T make a field; walks of its ODE are drawn and played.

import { pointColours, theme } from "./colours.js";
import { KERNELS, makeKernel } from "./kernels.js";
import { walk, walkTimes } from "./ode.js";
import { makePlane } from "./plane.js";
import { MOST_POINTS, parseCsv, PRESETS } from "./points.js";
import { drawRadial, short } from "./radial.js";
import { makeSpace, timeAt } from "./space.js";
import { evenStarts, randomStarts } from "./starts.js";

const NODES = 90; // times of a walk
// Noise levels: of most of a walk, and of its last nodes, down to where heavy tails show none either.
const SEEN_LEVEL = 0.01, LAST_LEVEL = 1e-6, LAST_NODES = 10;
const PLAY_SECONDS = 5;
const CLOSE = 2; // half the width of the plane: walkers come in from outside
const PAUSE = 12; // milliseconds of work before the page may do something else

const $ = (id) => document.getElementById(id);

export function startFieldTab() {
  const state = { points: PRESETS["Three points"]().flat(), lines: [], job: 0, playing: 0, at: 0 };
  fill($("kernel"), Object.entries(KERNELS).map(([name, { title }]) => [name, title]));
  fill($("preset"), Object.keys(PRESETS).map((name) => [name, name]));
  const space = makeSpace($("space"), () => draw());
  const plane = makePlane($("plane"), { points: () => state.points, add, move, remove, say: (text) => say(text) });

  const recompute = () => compute(state).then((done) => done && draw());
  for (const id of ["kernel", "D", "level", "count", "starts", "seed"]) $(id).addEventListener("input", recompute);
  $("preset").addEventListener("input", () => setPoints(PRESETS[$("preset").value]()));
  $("clear").addEventListener("click", () => setPoints([[0, 0]]));
  $("csv").addEventListener("change", load);
  $("time").addEventListener("input", () => {
    stop();
    state.at = Number($("time").value);
    draw();
  });
  $("play").addEventListener("click", () => (state.playing ? stop() : play()));
  new ResizeObserver(() => draw()).observe($("space"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => recompute());
  document.addEventListener("themechange", () => recompute());

  function setPoints(points) {
    state.points = points.flat();
    recompute();
    say(`${points.length} data points`);
  }
  function add(x, y) {
    if (state.points.length >= 2 * MOST_POINTS) {
      say(`at most ${MOST_POINTS} points`);
      return;
    }
    state.points = [...state.points, x, y];
    moved();
    say(`point ${state.points.length / 2} at ${x.toFixed(2)}, ${y.toFixed(2)}`);
  }
  function move(index, x, y) {
    state.points.splice(2 * index, 2, x, y);
    moved();
  }
  // The points are drawn at once, with the walks there are; the new walks take longer.
  function moved() {
    state.colours = pointColours(state.points, theme().dark);
    recompute();
    draw();
  }
  function remove(index) {
    if (index < 0 || state.points.length <= 2) return;
    state.points.splice(2 * index, 2);
    recompute();
    say(`${state.points.length / 2} data points left`);
  }
  async function load() {
    const [file] = $("csv").files;
    if (!file) return;
    try {
      setPoints(parseCsv(await file.text()));
    } catch (error) {
      say(`${file.name}: ${error.message}`, true);
    }
    $("csv").value = "";
  }

  function play() {
    if (state.at >= NODES) state.at = 0;
    $("play").textContent = "Pause";
    let before = performance.now();
    const frame = (now) => {
      state.at = Math.min(NODES, state.at + ((now - before) / 1000 / PLAY_SECONDS) * NODES);
      before = now;
      draw();
      if (state.at < NODES) state.playing = requestAnimationFrame(frame);
      else stop();
    };
    state.playing = requestAnimationFrame(frame);
  }
  function stop() {
    cancelAnimationFrame(state.playing);
    state.playing = 0;
    $("play").textContent = "Play";
  }

  function draw() {
    if (!state.times || $("field-panel").hidden) return;
    const scene = { ...state, points: Float64Array.from(state.points) };
    space.draw(scene);
    const half = Math.min(scene.half, CLOSE);
    plane.draw({ ...scene, half });
    $("extent").textContent = `from −${short(half)} to ${short(half)}`;
    const t = Math.max(timeAt(state.times, state.at), state.times[NODES - 1]);
    drawRadial($("radial"), { kernel: state.kernel, t, half: state.half });
    $("time").value = state.at;
    const shown = state.at >= NODES ? "0, at the data" : short(t);
    $("now").textContent = `t = ${shown}`;
    $("time").setAttribute("aria-valuetext", `t = ${shown}`);
  }

  recompute();
  return { draw, state };
}

// Read the controls and compute all walks, in slices so that the page stays alive.
// Resolves to false where a newer computation has begun.
async function compute(state) {
  const job = ++state.job, name = $("kernel").value;
  $("D-row").hidden = name !== "pfgmpp";
  const D = Math.round(2 ** Number($("D").value)), level = 10 ** Number($("level").value);
  const kernel = makeKernel(name, { D }), { formula, about, longest } = KERNELS[name];
  const T = Math.min(kernel.timeAt(level), longest ?? Infinity);
  const seen = kernel.timeAt(SEEN_LEVEL);
  const times = [
    ...walkTimes(T, seen, NODES - LAST_NODES),
    ...walkTimes(seen, kernel.timeAt(LAST_LEVEL), LAST_NODES + 1).slice(1),
  ];
  $("D-value").textContent = D;
  $("D").setAttribute("aria-valuetext", D);
  $("level-value").textContent = `${short(T)} (noise level ${short(level)})`;
  $("level").setAttribute("aria-valuetext", $("level-value").textContent);
  $("formula").textContent = formula;
  $("about").textContent = about;
  const count = Number($("count").value), points = Float64Array.from(state.points);
  $("count-value").textContent = count;
  const random = $("starts").value === "random";
  $("seed-row").hidden = !random;
  const starts = random ? randomStarts(kernel, T, count, Number($("seed").value) || 0) : evenStarts(kernel, T, count);
  const colours = pointColours(points, theme().dark), lines = [];
  let since = performance.now();
  for (const [x, y] of starts) {
    const path = walk(kernel, points, x, y, times, { tolerance: 1e-6 });
    lines.push({ path, colour: colours[nearestPoint(points, path)] });
    if (performance.now() - since > PAUSE) {
      await new Promise((resolve) => setTimeout(resolve));
      if (job !== state.job) return false;
      since = performance.now();
    }
  }
  Object.assign(state, { kernel, times, lines, colours, half: windowOf(kernel, T) });
  $("field-panel").dataset.walks = lines.length;
  return true;
}

// Half the width of what is shown: the data, and most of where walks begin.
const windowOf = (kernel, T) => Math.max(1.5, Math.min(kernel.psiInverse(0.6, T), 40));

export function nearestPoint(points, path) {
  const [x, y] = path.slice(-2);
  let best = 0, least = Infinity;
  for (let i = 0; i < points.length / 2; i++) {
    const r = Math.hypot(x - points[2 * i], y - points[2 * i + 1]);
    if (r < least) [best, least] = [i, r];
  }
  return best;
}

function fill(select, entries) {
  select.replaceChildren(...entries.map(([value, text]) => new Option(text, value)));
}

function say(text, wrong = false) {
  $("said").textContent = text;
  $("said").classList.toggle("wrong", wrong);
}
