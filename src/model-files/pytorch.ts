import type { ModelFile } from './model-file.ts';
import type { ReadAt } from './read-at.ts';

const ZIP = 0x504b0304;

/** What the first bytes of a file say: a pickle of protocol 2 or later, or a zip archive. Older pickles are text, and not told apart. */
export function pickleKind(head: Uint8Array): 'pickle' | 'zip' | undefined {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  if (bytes.byteLength >= 4 && bytes.readUInt32BE(0) === ZIP) return 'zip';
  const protocol = bytes[0] === 0x80 ? (bytes[1] ?? 0) : 0;
  return protocol >= 2 && protocol <= 5 ? 'pickle' : undefined;
}

/** A PyTorch checkpoint is a program that makes tensors when it is run. It is never run: only its kind is told. */
export async function readPytorch(file: ReadAt): Promise<ModelFile> {
  const kind = pickleKind(await file.read(0, Math.min(4, file.size)));
  const description =
    kind === 'zip' ? 'zip archive, as PyTorch writes it with a pickle inside' : kind === 'pickle' ? kind : 'not recognised';
  return { path: file.name, size: file.size, format: 'pytorch', description, tensors: [], metadata: {}, traits: {} };
}
