import { KitError } from '../errors.ts';
import { checksum } from './tar-header.ts';

/** One header block. Types that are never extracted keep the name a user knows. */
export interface TarBlock {
  readonly path: string;
  readonly type: 'file' | 'directory' | 'pax' | 'global' | 'longname' | UnsafeType;
  readonly mode: number;
  readonly size: number;
}

export type UnsafeType = 'hard link' | 'symbolic link' | 'character device' | 'block device' | 'named pipe' | 'entry of unknown type';

const TYPES: Readonly<Record<string, TarBlock['type']>> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  '5': 'directory',
  x: 'pax',
  g: 'global',
  L: 'longname',
  '1': 'hard link',
  '2': 'symbolic link',
  '3': 'character device',
  '4': 'block device',
  '6': 'named pipe',
};

/** @throws KitError LAYER_INVALID; `offset` is where the block starts, for the message */
export function decodeTarBlock(block: Uint8Array, offset: number, name: string): TarBlock {
  const header = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
  if (octal(header, 148, 8) !== checksum(header)) throw notTar(header, offset, name);
  const typeflag = header.toString('latin1', 156, 157);
  const ustar = header.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = ustar ? text(header, 345, 155) : '';
  const path = prefix === '' ? text(header, 0, 100) : `${prefix}/${text(header, 0, 100)}`;
  const type = TYPES[typeflag] ?? 'entry of unknown type';
  const size = number(header, 124, 12, name);
  const mode = octal(header, 100, 8) ?? 0;
  // before ustar a trailing slash was all that made a directory
  if (type === 'file' && path.endsWith('/')) return { path, type: 'directory', mode, size };
  return { path, type, mode, size };
}

function notTar(header: Buffer, offset: number, name: string): KitError {
  const magic = header.readUInt32BE(0);
  const format = offset > 0 ? undefined : magic >>> 16 === 0x1f8b ? 'gzip' : magic === 0x28b52ffd ? 'zstd' : undefined;
  if (format !== undefined) {
    return new KitError('LAYER_INVALID', `${name}: the layer holds ${format} data, but its media type says uncompressed tar`, {
      hint: 'the artifact is mislabelled; push it again with the media type `...tar+' + format + '`',
    });
  }
  return new KitError('LAYER_INVALID', `${name}: the tar header at byte ${offset} has a wrong check sum`, {
    hint: 'the artifact is damaged; ask for it to be pushed again',
  });
}

export interface PaxFields {
  path?: string;
  size?: number;
}

/** The records that change name and size; others are of no interest. @throws KitError LAYER_INVALID */
export function parsePax(data: Uint8Array, name: string, global: boolean): PaxFields {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const fields: PaxFields = {};
  for (let at = 0; at < bytes.byteLength;) {
    const space = bytes.indexOf(0x20, at);
    const length = space === -1 ? Number.NaN : Number(bytes.toString('latin1', at, space));
    const record = Number.isSafeInteger(length) && length > 0 ? bytes.subarray(space + 1, at + length) : undefined;
    const equals = record?.indexOf(0x3d) ?? -1;
    if (record === undefined || equals < 1 || at + length > bytes.byteLength || record.at(-1) !== 0x0a) {
      throw new KitError('LAYER_INVALID', `${name}: a pax header is malformed`);
    }
    readRecord(fields, record.toString('utf8', 0, equals), record.toString('utf8', equals + 1, record.byteLength - 1), name, global);
    at += length;
  }
  return fields;
}

function readRecord(fields: PaxFields, key: string, value: string, name: string, global: boolean): void {
  if (key.startsWith('GNU.sparse.') || (global && (key === 'path' || key === 'size'))) {
    throw new KitError('UNSAFE_ENTRY', `${name}: the archive uses the pax record \`${key}\`, which is not supported`);
  }
  if (key === 'path') fields.path = value;
  if (key !== 'size') return;
  const size = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(size))
    throw new KitError('LAYER_INVALID', `${name}: a pax header gives the size ${JSON.stringify(value)}`);
  fields.size = size;
}

function text(header: Buffer, start: number, length: number): string {
  const end = header.indexOf(0, start);
  return header.toString('utf8', start, end === -1 || end > start + length ? start + length : end);
}

function octal(header: Buffer, start: number, length: number): number | undefined {
  const digits = header
    .toString('latin1', start, start + length)
    .replace(/\0.*$/s, '')
    .trim();
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits || '0', 8) : undefined;
}

// eleven octal digits, or GNU base-256 when the first bit is set
function number(header: Buffer, start: number, length: number, name: string): number {
  if (((header[start] ?? 0) & 0x80) === 0) {
    const value = octal(header, start, length);
    if (value !== undefined) return value;
  } else {
    const value = BigInt(`0x${header.toString('hex', start + 1, start + length)}`);
    if (header[start] === 0x80 && value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  }
  throw new KitError('LAYER_INVALID', `${name}: a tar header gives a size that is no number`);
}
