// The second tab: a trained network draws images, step by step.

import { fitted, theme } from "./colours.js";
import { listModels, openModel } from "./runtime.js";
import { sample } from "./sampler.js";
import { short } from "./radial.js";
import { noiseOf } from "./starts.js";

const $ = (id) => document.getElementById(id);
const GAP = 1 / 160; // between images, of the width of all
const FRAME = 140; // milliseconds of a step when played

export async function startGarmentsTab() {
  say("");
  const models = await listModels();
  const opened = new Map(), state = { frames: [], job: 0, timer: 0 };
  $("model").replaceChildren(...models.map(({ name, title }) => new Option(title, name)));
  if (!models.length) {
    $("draw").disabled = true;
    say("No model lies beside this page. `zoo space FOLDER` writes the page with models.", true);
    return null;
  }
  const open = (name) => {
    if (!opened.has(name)) opened.set(name, openModel(name));
    return opened.get(name).catch((error) => {
      opened.delete(name); // the next run tries again
      throw error;
    });
  };
  const about = () => {
    $("model-about").textContent = models.find(({ name }) => name === $("model").value)?.about ?? "";
  };
  about();
  $("model").addEventListener("input", () => (about(), run()));
  for (const id of ["garment-seed", "garment-count"]) $(id).addEventListener("input", () => run());
  $("draw").addEventListener("click", () => run());
  $("garment-view").addEventListener("input", () => draw(state));
  $("garment-step").addEventListener("input", () => (stop(), draw(state)));
  $("garment-play").addEventListener("click", () => (state.timer ? stop() : play()));
  new ResizeObserver(() => draw(state)).observe($("garments"));
  document.addEventListener("themechange", () => draw(state));

  async function run(noise = null) {
    const job = ++state.job, name = $("model").value;
    stop();
    say("Loading the network …");
    $("garments").setAttribute("aria-busy", "true");
    try {
      const model = await open(name);
      if (job !== state.job) return null;
      const n = noise ? noise.length / model.manifest.kernel.dim : Number($("garment-count").value);
      noise ??= noiseOf(model.manifest.noise, n, model.shape, Number($("garment-seed").value) || 0);
      return await walk(job, model, noise, n);
    } catch (error) {
      if (job === state.job) say(`${name} does not run here: ${error.message}`, true);
      return null;
    } finally {
      if (job === state.job) $("garments").removeAttribute("aria-busy");
    }
  }

  async function walk(job, model, noise, n) {
    state.frames = [];
    const began = performance.now();
    for await (const frame of sample(model.manifest, model.denoise, noise, n)) {
      if (job !== state.job) return null;
      state.frames.push(frame);
      Object.assign(state, { n, shape: model.shape });
      const step = $("garment-step");
      Object.assign(step, { max: frame.steps, value: frame.step });
      say(`Step ${frame.step} of ${frame.steps}`);
      draw(state);
      await new Promise((resolve) => setTimeout(resolve));
    }
    if (job !== state.job) return null;
    for (const id of ["garment-step", "garment-play"]) $(id).disabled = false;
    say(`${n} image${n === 1 ? "" : "s"} in ${short((performance.now() - began) / 1000)} s, ${state.frames.length - 1} evaluations of the network`);
    $("garments").dataset.drawn = job;
    return state.frames.at(-1).x;
  }

  function play() {
    $("garment-play").textContent = "Pause";
    const step = $("garment-step");
    if (Number(step.value) >= Number(step.max)) step.value = 0;
    state.timer = setInterval(() => {
      if (Number(step.value) >= Number(step.max)) return stop();
      step.value = Number(step.value) + 1;
      draw(state);
    }, FRAME);
  }
  function stop() {
    clearInterval(state.timer);
    state.timer = 0;
    $("garment-play").textContent = "Play";
  }

  globalThis.fieldzoo = { run };
  run();
  return { run };
}

// Columns, size and distance of n images side by side, and the height of all.
export function tiles(n, [, rows, across], width) {
  const columns = Math.ceil(Math.sqrt(n)), lines = Math.ceil(n / columns);
  const gap = GAP * width, wide = (width - gap * (columns - 1)) / columns, high = (wide * rows) / across;
  return { columns, wide, high, gap, height: lines * high + gap * (lines - 1) };
}

// The images of a step side by side; states larger than images are scaled down to be seen.
function draw({ frames, n, shape }) {
  const canvas = $("garments");
  if (!frames.length || $("garments-panel").hidden) return;
  const frame = frames[Math.min(Number($("garment-step").value), frames.length - 1)];
  const values = $("garment-view").value === "guess" ? frame.guess : frame.x;
  const { width } = canvas.getBoundingClientRect(), { columns, wide, high, gap, height } = tiles(n, shape, width);
  canvas.style.aspectRatio = `${width} / ${height}`;
  const { context } = fitted(canvas), d = values.length / n;
  context.imageSmoothingEnabled = false;
  for (let i = 0; i < n; i++) {
    const tile = picture(values.subarray(i * d, (i + 1) * d), shape);
    const at = [(i % columns) * (wide + gap), Math.floor(i / columns) * (high + gap)];
    context.drawImage(tile, ...at, wide, high);
  }
  $("garment-now").textContent = frame.step < frame.steps ? `step ${frame.step} of ${frame.steps}` : "data";
  canvas.style.borderColor = theme().faint;
}

function picture(values, [channels, rows, columns]) {
  const tile = document.createElement("canvas");
  Object.assign(tile, { width: columns, height: rows });
  const context = tile.getContext("2d"), image = context.createImageData(columns, rows);
  let squares = 0;
  for (const v of values) squares += v * v;
  const size = Math.max(1, Math.sqrt(squares / values.length)), plane = rows * columns;
  for (let k = 0; k < plane; k++) {
    for (let c = 0; c < 3; c++) {
      const v = values[k + plane * (channels === 3 ? c : 0)] / size;
      image.data[4 * k + c] = 127.5 * (Math.min(Math.max(v, -1), 1) + 1);
    }
    image.data[4 * k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return tile;
}

function say(text, wrong = false) {
  $("garment-said").textContent = text;
  $("garment-said").classList.toggle("wrong", wrong);
}
