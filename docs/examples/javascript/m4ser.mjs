// A model of m4ser in JavaScript, from samples to the probabilities of emotions. It runs in browsers and in Node.
//
// The model is an unpacked archive (`m4ser unpack ARCHIVE FOLDER`) that holds a whole graph for the voice alone:
// m4ser.json says how its features are made and what its outputs are called, model.onnx does the rest.

/** A sound: mono samples in -1..1 and their rate in Hz. */
export class Sound {
  constructor(samples, rate) {
    this.samples = samples;
    this.rate = rate;
  }
}

/** Samples per second that the model hears. */
const RATE = 16000;

/** The sound of a WAV file (PCM of 8 to 32 bits, or floats), the mean of its channels. */
export function readWav(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const name = (place) => String.fromCharCode(...bytes.subarray(place, place + 4));
  if (bytes.length < 12 || name(0) !== "RIFF" || name(8) !== "WAVE") throw new Error("is not a WAV file");
  let format = null;
  for (let place = 12; place + 8 <= bytes.length; ) {
    const length = view.getUint32(place + 4, true);
    const start = place + 8;
    if (name(place) === "fmt ") {
      let kind = view.getUint16(start, true);
      if (kind === 0xfffe) kind = view.getUint16(start + 24, true); // the header of more than two channels or 16 bits
      const [channels, rate] = [view.getUint16(start + 2, true), view.getUint32(start + 4, true)];
      format = { kind, channels, rate, bits: view.getUint16(start + 14, true) };
    } else if (name(place) === "data") {
      if (format === null) break;
      return new Sound(decode(view, start, Math.min(start + length, bytes.length), format), format.rate);
    }
    place = start + length + (length % 2);
  }
  throw new Error("is a WAV file without samples");
}

function decode(view, start, end, { kind, channels, bits }) {
  const readers = {
    "1 8": (at) => (view.getUint8(at) - 128) / 128,
    "1 16": (at) => view.getInt16(at, true) / 32768,
    "1 24": (at) => (view.getUint8(at) | (view.getInt16(at + 1, true) << 8)) / 8388608,
    "1 32": (at) => view.getInt32(at, true) / 2147483648,
    "3 32": (at) => view.getFloat32(at, true),
    "3 64": (at) => view.getFloat64(at, true),
  };
  const read = readers[`${kind} ${bits}`];
  if (!read) throw new Error(`has samples of type ${kind} with ${bits} bits; write it with 16-bit ones`);
  const size = bits / 8;
  const samples = new Float32Array(Math.floor((end - start) / (size * channels)));
  for (let i = 0; i < samples.length; i++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += read(start + (i * channels + c) * size);
    samples[i] = sum / channels;
  }
  return samples;
}

/** Samples at 16 kHz, by interpolation with a sinc of 64 crossings under Hann's window. */
export function resample({ samples, rate }) {
  if (rate === RATE) return samples;
  const step = rate / RATE;
  const cut = Math.min(1, 1 / step); // of the lower one of both bandwidths
  const half = 32 / cut;
  const out = new Float32Array(Math.round(samples.length / step));
  for (let i = 0; i < out.length; i++) {
    const centre = i * step;
    let sum = 0;
    for (let k = Math.max(0, Math.ceil(centre - half)); k <= Math.min(samples.length - 1, centre + half); k++) {
      const x = k - centre;
      const sinc = x === 0 ? cut : Math.sin(Math.PI * cut * x) / (Math.PI * x);
      sum += samples[k] * sinc * (0.5 + 0.5 * Math.cos((Math.PI * x) / half));
    }
    out[i] = sum;
  }
  return out;
}

/** As the training has read its recordings: with 16 bits. */
export function with16Bits(samples) {
  return samples.map((x) => Math.max(-32768, Math.min(32767, roundToEven(Math.fround(x * 32768)))) / 32768);
}

function roundToEven(x) {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** Whisper's log-mel features: what m4ser/data/log_mel.py computes with NumPy. */
export class LogMel {
  /** @param fields `pipeline.speech.architecture.hf_features` of m4ser.json */
  constructor({ feature_size, n_fft, hop_length, sampling_rate }) {
    Object.assign(this, { mels: feature_size, size: n_fft, hop: hop_length });
    const turn = (2 * Math.PI) / n_fft;
    const period = Float64Array.from({ length: n_fft }, (_, i) => i * turn);
    this.window = period.map((angle) => 0.5 - 0.5 * Math.cos(angle));
    this.cos = period.map(Math.cos);
    this.sin = period.map(Math.sin);
    this.filters = melFilters(feature_size, 1 + n_fft / 2, sampling_rate);
  }

  /** Features of 16 kHz samples: mels rows of `frames` columns, one after the other in `data`. */
  of(samples) {
    const step = 2 * this.hop; // the encoder takes two frames at a time
    const filled = Math.max(1, Math.ceil(samples.length / step)) * step;
    const frames = filled / this.hop;
    const at = (place) => {
      const mirrored = place < 0 ? -place : place >= filled ? 2 * (filled - 1) - place : place;
      return mirrored < samples.length ? samples[mirrored] : 0;
    };
    const data = new Float64Array(this.mels * frames);
    const piece = new Float64Array(this.size);
    const power = new Float64Array(1 + this.size / 2);
    let highest = -Infinity;
    for (let frame = 0; frame < frames; frame++) {
      for (let i = 0; i < this.size; i++) {
        piece[i] = at(frame * this.hop + i - this.size / 2) * this.window[i];
      }
      this.powers(piece, power);
      for (let mel = 0; mel < this.mels; mel++) {
        const { first, weights } = this.filters[mel];
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k] * power[first + k];
        const value = Math.log10(Math.max(sum, 1e-10));
        data[mel * frames + frame] = value;
        if (value > highest) highest = value;
      }
    }
    return { frames, data: Float32Array.from(data, (value) => (Math.max(value, highest - 8) + 4) / 4) };
  }

  /** Squared magnitudes of the discrete Fourier transform of a frame. */
  powers(piece, power) {
    for (let bin = 0; bin < power.length; bin++) {
      let [real, imaginary] = [0, 0];
      for (let i = 0, turn = 0; i < piece.length; i++) {
        real += piece[i] * this.cos[turn];
        imaginary += piece[i] * this.sin[turn];
        turn += bin;
        if (turn >= piece.length) turn -= piece.length;
      }
      power[bin] = real * real + imaginary * imaginary;
    }
  }
}

/** Triangles of equal area from 0 to 8000 Hz, equally far from each other on Slaney's mel scale. */
function melFilters(mels, bins, rate) {
  const [linear, width, growth] = [1000, 200 / 3, Math.log(6.4) / 27];
  const top = linear / width + Math.log(8000 / linear) / growth;
  const hertz = (mel) =>
    mel < linear / width ? mel * width : linear * Math.exp(growth * (mel - linear / width));
  const points = Array.from({ length: mels + 2 }, (_, i) => hertz((i * top) / (mels + 1)));
  return Array.from({ length: mels }, (_, mel) => {
    const [low, middle, high] = points.slice(mel, mel + 3);
    const weights = Array.from({ length: bins }, (_, bin) => {
      const place = (bin * Math.floor(rate / 2)) / (bins - 1);
      const triangle = Math.min((place - low) / (middle - low), (high - place) / (high - middle));
      return (Math.max(0, triangle) * 2) / (high - low);
    });
    const first = Math.max(0, weights.findIndex((weight) => weight > 0));
    return { first, weights: weights.slice(first, 1 + weights.findLastIndex((weight) => weight > 0)) };
  });
}

/** A model; make one with `open`. */
export class EmotionModel {
  constructor(ort, session, about) {
    const { graph, labels, pipeline } = about;
    if (!graph) throw new Error("holds no whole graph; pack the model with m4ser pack --weights onnx");
    if (graph.speech !== "log_mel" || graph.text) throw new Error("reads words, too; this example hears the voice alone");
    Object.assign(this, { ort, session, labels, graph });
    this.logMel = new LogMel(pipeline.speech.architecture.hf_features);
  }

  /**
   * @param ort the module onnxruntime-web (or onnxruntime-node)
   * @param graph content of model.onnx
   * @param description text of m4ser.json
   */
  static async open(ort, graph, description) {
    return new EmotionModel(ort, await ort.InferenceSession.create(graph), JSON.parse(description));
  }

  /** Label and probabilities of a sound; of a long one the mean of equal pieces. */
  async predict(sound) {
    const samples = with16Bits(resample(sound));
    const count = Math.max(1, Math.ceil(samples.length / (this.graph.longest * RATE)));
    const mean = new Array(this.labels.length).fill(0);
    for (let piece = 0; piece < count; piece++) {
      const places = [piece, piece + 1].map((number) => Math.floor((samples.length * number) / count));
      const part = await this.probabilities(samples.subarray(...places));
      part.forEach((value, i) => (mean[i] += (value * (places[1] - places[0])) / samples.length));
    }
    const probabilities = Object.fromEntries(this.labels.map((label, i) => [label, mean[i]]));
    return { label: this.labels[mean.indexOf(Math.max(...mean))], probabilities };
  }

  /** Probabilities in the order of the labels, of at most `graph.longest` seconds. */
  async probabilities(samples) {
    const { frames, data } = this.logMel.of(samples);
    const { Tensor } = this.ort;
    const { logits } = await this.session.run({
      log_mel: new Tensor("float32", data, [1, this.logMel.mels, frames]),
      log_mel_lengths: new Tensor("int64", BigInt64Array.of(BigInt(frames)), [1]),
    });
    const scaled = Array.from(logits.data, (logit) => logit / (this.graph.temperature ?? 1));
    const powers = scaled.map((logit) => Math.exp(logit - Math.max(...scaled)));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  }
}
