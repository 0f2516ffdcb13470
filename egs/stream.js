// Clean raw sound as it comes, without Python: 16-bit little-endian samples, standard input to output.
//
//     npm install onnxruntime-node               # or onnxruntime-web: WebAssembly alone, and slower
//     segan-export --onnx live.onnx --model streaming --streaming
//     sox noisy.wav -r 16000 -b 16 -e signed -t raw - | node egs/stream.js live.onnx > clean.raw
//
// A second argument is the number of channels, interleaved. As many samples come out as go in.

const HOP = 256; // samples a call, 16 ms; any multiple of the model's hop would do

const runtime = () => {
  for (const name of ["onnxruntime-node", "onnxruntime-web"])
    try { return require(name); } catch {}
  throw new Error("ONNX Runtime is not installed: npm install onnxruntime-node");
};

const main = async (model, channels) => {
  if (!model) throw new Error("usage: node stream.js MODEL.onnx [CHANNELS] < noisy.raw > clean.raw");
  const ort = runtime();
  const session = await ort.InferenceSession.create(require("fs").readFileSync(model));
  const zeros = (...shape) =>
    new ort.Tensor("float32", new Float32Array(shape.reduce((a, b) => a * b)), shape);
  const inputs = session.inputMetadata.filter(({ name }) => name !== "noisy");
  let state = inputs.map(({ name, shape }) => [name, zeros(channels, ...shape.slice(1))]);
  const early = inputs.find(({ name }) => name === "heard").shape[1]; // samples before the sound
  const size = 2 * channels * HOP; // bytes
  const place = (i) => (i % channels) * HOP + Math.floor(i / channels); // of interleaved sample i
  const step = async (bytes) => {
    const noisy = zeros(channels, HOP);
    noisy.data.forEach((_, i) => (noisy.data[place(i)] = bytes.readInt16LE(2 * i) / 32768));
    const { clean, ...next } = await session.run({ noisy, ...Object.fromEntries(state) });
    state = inputs.map(({ name }) => [name, next[`${name}_next`]]);
    const out = Buffer.alloc(size);
    for (let i = 0; i < channels * HOP; i++) {
      const sample = Math.round(32768 * clean.data[place(i)]);
      out.writeInt16LE(Math.max(-32768, Math.min(32767, sample)), 2 * i);
    }
    return out;
  };

  let [held, dropped, owed] = [Buffer.alloc(0), 2 * channels * early, 0]; // bytes
  const work = async (chunk) => {
    for (held = Buffer.concat([held, chunk]); held.length >= size; held = held.subarray(size)) {
      const out = (await step(held)).subarray(dropped).subarray(0, owed);
      [dropped, owed] = [Math.max(0, dropped - size), owed - out.length];
      await new Promise((written) => process.stdout.write(out, written));
    }
  };
  for await (const chunk of process.stdin) {
    owed += chunk.length;
    await work(chunk);
  }
  await work(Buffer.alloc(2 * channels * early + size));
};

main(process.argv[2], Number(process.argv[3] ?? 1)).catch((error) => {
  console.error(`stream.js: ${error.message}`);
  process.exit(2);
});
