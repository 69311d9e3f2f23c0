// Models in the browser: ONNX Runtime's WebAssembly, from the folder runtime/, and the exports in
// models/. `zoo space` writes both.

let runtime = null;

async function load() {
  const ort = await import("../runtime/ort.wasm.min.mjs");
  ort.env.wasm.wasmPaths = new URL("../runtime/", import.meta.url).href;
  // Half the logical processors: threads that wait for each other spin, and others need some too.
  const threads = Math.min(4, Math.ceil((navigator.hardwareConcurrency || 1) / 2));
  ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? threads : 1;
  return ort;
}

const folder = (name) => new URL(`../models/${encodeURIComponent(name)}/`, import.meta.url);

async function get(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url.pathname}: ${answer.status}`);
  return answer;
}

// [{ name, title }] of the models that lie beside the page; [] where there are none, which some
// servers say by a page of their own.
export async function listModels() {
  const answer = await fetch(new URL("../models/models.json", import.meta.url));
  if (!answer.ok) return [];
  const text = await answer.text();
  try {
    return JSON.parse(text);
  } catch {
    return [];
  }
}

// { manifest, denoise } of a model.
export async function openModel(name) {
  runtime ??= load().catch((error) => {
    runtime = null; // the next call tries again
    throw error;
  });
  const [ort, manifest, bytes] = await Promise.all([
    runtime,
    get(new URL("manifest.json", folder(name))).then((answer) => answer.json()),
    get(new URL("model.onnx", folder(name))).then((answer) => answer.arrayBuffer()),
  ]);
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  const [, ...shape] = manifest.inputs.x.shape;
  async function denoise(x, t) {
    const feeds = {
      x: new ort.Tensor("float32", x, [t.length, ...shape]),
      t: new ort.Tensor("float32", t, [t.length]),
    };
    if (manifest.inputs.labels) {
      feeds.labels = new ort.Tensor("int64", new BigInt64Array(t.length).fill(-1n), [t.length]);
      feeds.guidance = new ort.Tensor("float32", Float32Array.of(1), []);
    }
    return (await session.run(feeds)).denoised.data;
  }
  return { manifest, denoise, shape };
}
