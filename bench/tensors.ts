// The tensors of a large model in a registry, by ranged reads of headers: time, bytes and requests.
//   node bench/tensors.ts [--size 140GB] [--runs 5] [--dir DIR]
//
//   --size SIZE  of the model; the registry keeps what is not zero, and is sent nothing else
import { createHash } from 'node:crypto';
import { runBench } from './harness/bench.ts';
import { startCountingProxy } from './harness/counting-proxy.ts';
import { measure } from './harness/measure.ts';
import { bytes, count, readOptions } from './harness/options.ts';
import { kitTools } from './harness/peers.ts';
import { startScript } from './harness/registry.ts';
import { LIMIT, OURS } from './harness/table.ts';

const START = 'start of Node';
const values = readOptions(import.meta.url, { size: '140GB', runs: '5' });
const size = bytes(values, 'size');
const options = {
  title: `inspect --tensors of ${values.size} in a registry`,
  dir: values.dir,
  runs: count(values, 'runs'),
  limits: [START],
};

const u32 = (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value: number): Buffer => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
const number = (value: number): string => String(value).padStart(5, '0');

interface File {
  readonly path: string;
  readonly header: Buffer;
  readonly size: number;
}

/** As many tensors as Llama 3 70B has, over `shards` files. */
function safetensors(shards: number): File[] {
  const tensors = Math.ceil(723 / shards);
  const data = Math.floor(size / shards / tensors / 2) * 2;
  return Array.from({ length: shards }, (_, shard) => {
    const entries = Array.from({ length: tensors }, (_unused, at) => [
      `model.layers.${shard * tensors + at}.mlp.down_proj.weight`,
      { dtype: 'BF16', shape: [data / 2], data_offsets: [at * data, (at + 1) * data] },
    ]);
    const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
    const header = Buffer.concat([Buffer.from(BigUint64Array.of(BigInt(json.byteLength)).buffer), json]);
    return { path: `model-${number(shard + 1)}-of-${number(shards)}.safetensors`, header, size: header.byteLength + tensors * data };
  });
}

/** One file with a vocabulary of 128,000 words and 280,000 pairs of them, as Llama 3 has. */
function gguf(): File[] {
  const words = (length: number): Buffer[] => [u32(9), u32(8), u64(length), ...Array.from({ length }, (_, at) => text(`word${at}`))];
  const elements = Math.floor(size / 34) * 32;
  const architecture = [text('general.architecture'), u32(8), text('llama')];
  const tokens = [text('tokenizer.ggml.tokens'), ...words(128_000)];
  const merges = [text('tokenizer.ggml.merges'), ...words(280_000)];
  const tensor = [text('token_embd.weight'), u32(1), u64(elements), u32(8), u64(0)];
  const header = Buffer.concat([Buffer.from('GGUF'), u32(3), u64(1), u64(3), ...architecture, ...tokens, ...merges, ...tensor]);
  return [{ path: 'model-Q8_0.gguf', header, size: header.byteLength + (elements / 32) * 34 + 32 }];
}

async function put(host: string, name: string, files: readonly File[]): Promise<void> {
  const send = async (method: string, path: string, body: Uint8Array, headers: Readonly<Record<string, string>> = {}): Promise<string> => {
    const response = await fetch(new URL(path, `http://${host}`), { method, body: new Uint8Array(body), headers });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status}`);
    return response.headers.get('location') ?? '';
  };
  const blob = async (header: Uint8Array, total: number): Promise<string> => {
    const digest = `sha256:${createHash('sha256').update(header).digest('hex')}`;
    const upload = await send('POST', `/v2/${name}/blobs/uploads/`, new Uint8Array());
    await send('PATCH', upload, header);
    // the last byte, and a hole before it
    const tail = total > header.byteLength ? new Uint8Array(1) : new Uint8Array();
    await send('PUT', `${upload}?digest=${digest}`, tail, tail.byteLength > 0 ? { 'content-range': `${total - 1}-${total - 1}` } : {});
    return digest;
  };
  const layers: unknown[] = [];
  for (const file of files) {
    const annotations = { 'org.opencontainers.image.title': file.path };
    layers.push({ mediaType: 'application/octet-stream', digest: await blob(file.header, file.size), size: file.size, annotations });
  }
  const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: await blob(Buffer.from('{}'), 2), size: 2 };
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers }));
  await send('PUT', `/v2/${name}/manifests/v1`, manifest, { 'content-type': mediaType });
}

await runBench(options, async (bench) => {
  const [ours] = kitTools(values.ours, values.peer, bench.work);
  if (ours === undefined) throw new Error('nothing to look with');
  await using registry = await startScript('sparse-registry.ts', []);
  await using counted = await startCountingProxy(registry.host);
  const models = { 'three shards': safetensors(3), 'thirty shards': safetensors(30), 'one GGUF file': gguf() };
  const names = Object.entries(models).map(([step, files], at) => ({ step, files, name: `bench/model${at}` }));
  for (const { name, files } of names) await put(registry.host, name, files);
  await bench.rounds(async (record) => {
    await record(START, LIMIT, () => measure({ argv: [process.execPath, '-e', '0'] }));
    for (const { step, name } of names) {
      await record(step, OURS, async () => {
        counted.reset();
        const flags = ['--remote', '--plain-http', '--format', 'json'];
        const sample = await measure(ours.command(bench.path('home'), 'inspect', '--tensors', `${counted.host}/${name}:v1`, ...flags));
        return { ...sample, received: counted.traffic.received, requests: counted.traffic.requests };
      });
    }
  });
});
