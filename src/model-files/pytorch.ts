import type { ModelFile } from './model-file.ts';
import type { ReadAt } from './read-at.ts';

const ZIP = 0x504b0304;

/** A PyTorch checkpoint is a program that makes tensors when it is run. It is never run: only its kind is told. */
export async function readPytorch(file: ReadAt): Promise<ModelFile> {
  const bytes = Buffer.from(await file.read(0, Math.min(4, file.size)));
  const isZip = bytes.byteLength === 4 && bytes.readUInt32BE(0) === ZIP;
  const protocol = bytes[0] === 0x80 ? (bytes[1] ?? 0) : 0;
  const isPickle = protocol >= 2 && protocol <= 5;
  const description = isZip ? 'zip archive, as PyTorch writes it with a pickle inside' : isPickle ? 'pickle' : 'not recognised';
  return { path: file.name, size: file.size, format: 'pytorch', description, tensors: [], metadata: {}, traits: {} };
}
