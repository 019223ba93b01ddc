"use strict";
// Colours of classes, as in the figures of results.
const COLOURS = ["#4477aa", "#ee6677", "#228833", "#b8860b", "#aa3377", "#2aa5b8", "#e07b39", "#8c6bb1", "#7f7f7f", "#a05a2c"];
const find = (id) => document.getElementById(id);
const percent = (value) => `${(100 * value).toFixed(1)} %`;
let model = null, recorder = null, busy = false, shown = null;

function clock(seconds) {
  const tenths = Math.round(10 * seconds);
  return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

function lasts(seconds) {
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${clock(seconds)} min`;
}

function make(tag, text = "", properties = {}) {
  return Object.assign(document.createElement(tag), { textContent: text }, properties);
}

function colour(label) {
  return COLOURS[Math.max(0, model.labels.indexOf(label)) % COLOURS.length];
}

function swatch(label, width = "") {
  const mark = make("i");
  mark.style.background = colour(label);
  mark.style.width = width;
  return mark;
}

function say(status, error = "") {
  find("status").textContent = status;
  find("error").textContent = error;
}

function setBusy(value) {
  busy = value;
  document.body.classList.toggle("busy", value);
  find("file").disabled = value;
  find("record").disabled = value;
}

async function start() {
  const response = await fetch("/model");
  model = await response.json();
  const about = Object.entries(model.about).filter(([, value]) => value !== "none");
  find("about").textContent = `${model.labels.join(", ")}` + (about.length ? ` — ${about.map(([key, value]) => `${key.replace("_", " ")} ${value}`).join(", ")}` : "");
  const here = ["127.0.0.1", "localhost", "[::1]"].includes(location.hostname);
  find("limits").textContent = `At most ${+(model.max_bytes / 1e6).toFixed(2)} MB and ${lasts(model.max_seconds).replace(".0 ", " ")}. `
    + (here ? "Nothing leaves this machine." : "It is sent to this server, which does not keep it.");
}

async function predict(blob, name) {
  if (busy) return;
  find("result").hidden = true;
  if (blob.size > model.max_bytes) {
    say("", `${name}: has ${(blob.size / 1e6).toFixed(1)} MB, more than the limit of ${model.max_bytes / 1e6} MB`);
    return;
  }
  setBusy(true);
  say("Listening to it …");
  try {
    const response = await fetch(`/predict?name=${encodeURIComponent(name)}`, { method: "POST", body: blob });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
    say("");
    show(answer, blob);
  } catch (error) {
    say("", error instanceof TypeError ? "The server does not answer; is `m4ser demo` still running?" : error.message);
  } finally {
    setBusy(false);
  }
}

function show(answer, blob) {
  find("name").textContent = `${answer.name}, ${lasts(answer.duration)}`;
  find("label").textContent = answer.label;
  const bars = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]);
  find("bars").replaceChildren(...bars.flatMap(([label, value]) => {
    const bar = make("span");
    bar.append(swatch(label, `${100 * value}%`));
    return [make("span", label, { role: "listitem" }), bar, make("span", percent(value))];
  }));
  find("heard").hidden = answer.text === null;
  find("text").textContent = answer.text || "(no words recognised)";
  const spent = Object.values(answer.seconds).reduce((a, b) => a + b, 0);
  find("timing").textContent = `${spent.toFixed(2)} s for ${answer.duration.toFixed(1)} s of sound: `
    + Object.entries(answer.seconds).map(([part, value]) => `${part} ${value.toFixed(2)} s`).join(", ");
  const player = find("player");
  if (shown) URL.revokeObjectURL(shown);
  shown = URL.createObjectURL(blob);
  player.src = shown;
  find("result").hidden = false;
  const long = answer.segments.length > 1;
  find("timeline").hidden = !long;
  find("heard").hidden ||= long; // the table has it
  if (long) timeline(answer, blob);
}

function timeline(answer, blob) {
  const player = find("player"), cursor = find("cursor"), track = find("track");
  const play = (part) => { player.currentTime = part.start; player.play().catch(() => {}); }; // a browser may want to be asked: the place is set
  const share = (seconds) => `${100 * seconds / answer.duration}%`;
  const rows = [], blocks = [];
  for (const part of answer.segments) {
    const says = `${clock(part.start)} to ${clock(part.end)}: ${part.label}, ${percent(part.probabilities[part.label])}`;
    const block = make("button", "", { type: "button", title: says, onclick: () => play(part) });
    block.setAttribute("aria-label", says);
    Object.assign(block.style, { left: share(part.start), width: share(part.end - part.start), background: colour(part.label) });
    blocks.push(block);
    const row = make("tr");
    const from = make("td");
    from.append(make("button", clock(part.start), { type: "button", onclick: () => play(part) }));
    row.append(from, make("td", clock(part.end)), make("td", part.label), make("td", percent(part.probabilities[part.label])), make("td", part.text || "", { className: "text" }));
    rows.push(row);
  }
  track.replaceChildren(...blocks, cursor);
  find("segments").replaceChildren(...rows);
  find("legend").replaceChildren(...model.labels.filter((label) => answer.segments.some((part) => part.label === label)).map((label) => {
    const item = make("li");
    item.append(swatch(label), label);
    return item;
  }));
  player.ontimeupdate = () => {
    cursor.style.left = share(player.currentTime);
    rows.forEach((row, i) => row.classList.toggle("now", player.currentTime >= answer.segments[i].start && player.currentTime < answer.segments[i].end));
  };
  cursor.style.left = "0";
  wave(blob);
}

async function wave(blob) {
  const canvas = find("wave"), pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  canvas.hidden = true;
  try {
    const context = new OfflineAudioContext(1, 1, 8000);
    const samples = (await context.decodeAudioData(await blob.arrayBuffer())).getChannelData(0);
    pen.fillStyle = "#808890"; // legible on light and on dark
    const step = samples.length / canvas.width, middle = canvas.height / 2;
    for (let x = 0; x < canvas.width; x++) {
      let peak = 0;
      for (let i = Math.floor(x * step); i < (x + 1) * step; i++) peak = Math.max(peak, Math.abs(samples[i] || 0));
      pen.fillRect(x, middle - peak * middle, 1, Math.max(1, 2 * peak * middle));
    }
    canvas.hidden = false;
  } catch { /* formats that the server reads and the browser does not: no picture */ }
}

async function record() {
  if (recorder) {
    recorder.stop();
    return;
  }
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) {
    say("", "This browser records on https pages and on this machine (127.0.0.1) only; choose a file instead.");
    return;
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
  } catch (error) {
    say("", error.name === "NotFoundError" ? "There is no microphone." : "The browser was not allowed to use the microphone.");
    return;
  }
  const parts = [], begin = performance.now(), button = find("record");
  recorder = new MediaRecorder(stream);
  recorder.ondataavailable = (event) => parts.push(event.data);
  const tick = setInterval(() => {
    const seconds = (performance.now() - begin) / 1000;
    find("status").textContent = `Recording … ${clock(seconds)}`;
    if (seconds > model.max_seconds - 1) recorder.stop();
  }, 100);
  recorder.onstop = () => {
    clearInterval(tick);
    stream.getTracks().forEach((track) => track.stop());
    button.textContent = "Record";
    button.classList.remove("recording");
    const blob = new Blob(parts, { type: recorder.mimeType });
    recorder = null;
    find("file").disabled = false;
    predict(blob, "recording");
  };
  recorder.start();
  say("Recording …");
  find("file").disabled = true;
  button.textContent = "Stop";
  button.classList.add("recording");
}

find("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = ""; // the same file can be chosen again
  if (file) predict(file, file.name);
});
find("record").addEventListener("click", record);
document.querySelector("label.button").addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") find("file").click();
});
const drop = find("drop");
for (const kind of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) predict(event.dataTransfer.files[0], event.dataTransfer.files[0].name);
  });
}
start().catch(() => say("", "The server does not answer; is `m4ser demo` still running?"));
