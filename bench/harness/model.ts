import { randomFillSync, randomInt } from 'node:crypto';
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const BUFFER_BYTES = 8 * 1024 * 1024;

/** A folder with a Kitfile, and its big files. */
export interface Model {
  readonly folder: string;
  readonly files: readonly string[];
}

/** `size` random bytes in `count` files of a model, each of them one layer. */
export function writeModel(folder: string, size: number, count: number): Model {
  mkdirSync(join(folder, 'weights'), { recursive: true });
  const names = Array.from({ length: count }, (_, index) => `weights/model-${index + 1}-of-${count}.safetensors`);
  const files = names.map((name) => join(folder, name));
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  for (const [index, file] of files.entries()) {
    // the last has what is left over
    const length = index === count - 1 ? size - Math.floor(size / count) * (count - 1) : Math.floor(size / count);
    withFile(file, 'w', (fd) => {
      for (let left = length; left > 0; left -= buffer.byteLength)
        writeSync(fd, randomFillSync(buffer), 0, Math.min(left, buffer.byteLength));
    });
  }
  const parts = names.slice(1).map((name) => `    - path: ${name}\n`);
  writeKitfile(folder, `model:\n  path: ${names[0]}\n${parts.length > 0 ? `  parts:\n${parts.join('')}` : ''}`);
  return { folder, files };
}

/** Other bytes at the beginning of a file of `writeModel`: a new digest at the same size. */
export function changeFile(file: string): void {
  withFile(file, 'r+', (fd) => writeSync(fd, randomFillSync(Buffer.allocUnsafe(4096)), 0, 4096, 0));
}

/** A model of one file of `size` zeros, which take no room on the disk, with a 4 KB document beside it. */
export function writeSparseModel(folder: string, size: number): Model {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'model.safetensors');
  withFile(file, 'w', (fd) => ftruncateSync(fd, size));
  writeFileSync(join(folder, 'card.md'), randomFillSync(Buffer.allocUnsafe(2048)).toString('hex'));
  writeKitfile(folder, 'model:\n  path: model.safetensors\ndocs:\n  - path: card.md\n');
  return { folder, files: [file] };
}

/** `count` files of random sizes and bytes in folders of a thousand, all in one layer; `size` is of all of them. */
export function writeSmallFiles(
  folder: string,
  count: number,
  smallest: number,
  largest: number,
): { readonly folder: string; readonly size: number } {
  const pool = randomFillSync(Buffer.allocUnsafe(BUFFER_BYTES + largest));
  let size = 0;
  for (let index = 0; index < count; index++) {
    const parent = join(folder, 'data', String(Math.floor(index / 1000)).padStart(4, '0'));
    if (index % 1000 === 0) mkdirSync(parent, { recursive: true });
    const start = randomInt(BUFFER_BYTES);
    const content = pool.subarray(start, start + randomInt(smallest, largest + 1));
    writeFileSync(join(parent, `sample-${index}.bin`), content);
    size += content.byteLength;
  }
  writeKitfile(folder, 'datasets:\n  - name: samples\n    path: data\n');
  return { folder, size };
}

function writeKitfile(folder: string, layers: string): void {
  writeFileSync(join(folder, 'Kitfile'), `manifestVersion: 1.0.0\npackage:\n  name: bench\n${layers}`);
}

function withFile(path: string, flags: string, use: (fd: number) => unknown): void {
  const fd = openSync(path, flags);
  try {
    use(fd);
  } finally {
    closeSync(fd);
  }
}
