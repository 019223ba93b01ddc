// node predict.mjs FOLDER FILE.wav ...: label, probability and name of each file, with the model in FOLDER.
// With --json: one object a line, with all probabilities.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as ort from "onnxruntime-web";
import { EmotionModel, readWav } from "./m4ser.mjs";

const words = process.argv.slice(2);
const json = words.includes("--json");
const [folder, ...files] = words.filter((word) => word !== "--json");
if (!files.length) {
  console.error("usage: node predict.mjs [--json] FOLDER FILE.wav ...");
  process.exit(2);
}
let name = folder;
try {
  ort.env.wasm.numThreads = 1;
  const model = await EmotionModel.open(
    ort,
    await readFile(join(folder, "model.onnx")),
    await readFile(join(folder, "m4ser.json"), "utf8"),
  );
  for (name of files) {
    const { label, probabilities } = await model.predict(readWav(await readFile(name)));
    const line = { name, label, probabilities };
    console.log(json ? JSON.stringify(line) : `${label}  ${probabilities[label].toFixed(3)}  ${name}`);
  }
} catch (error) {
  console.error(`error: ${name}: ${error.message}`);
  process.exit(1);
}
