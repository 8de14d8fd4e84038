import { isUtf8 } from 'node:buffer';
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
  const prefix = ustar ? text(header, 345, 155, name) : '';
  const path = prefix === '' ? text(header, 0, 100, name) : `${prefix}/${text(header, 0, 100, name)}`;
  const type = TYPES[typeflag] ?? 'entry of unknown type';
  const size = number(header, 124, 12, name);
  const mode = octal(header, 100, 8);
  if (mode === undefined) throw malformed(name, 'a tar header gives a mode that is no number');
  // before ustar a trailing slash was all that made a directory; Go and GNU tar disagree where the type says file
  if (typeflag === '\0' && path.endsWith('/')) return { path, type: 'directory', mode, size };
  return { path, type, mode, size };
}

/** The error for a layer that begins with compressed data; undefined when it does not. */
export function mislabelled(start: Buffer, name: string): KitError | undefined {
  const magic = start.byteLength < 4 ? 0 : start.readUInt32BE(0);
  const format = magic >>> 16 === 0x1f8b ? 'gzip' : magic === 0x28b52ffd ? 'zstd' : undefined;
  if (format === undefined) return undefined;
  return new KitError('LAYER_INVALID', `${name}: the layer holds ${format} data, but its media type says uncompressed tar`, {
    hint: `the artifact is mislabelled; push it again with the media type \`...tar+${format}\``,
  });
}

function notTar(header: Buffer, offset: number, name: string): KitError {
  const compressed = offset > 0 ? undefined : mislabelled(header, name);
  if (compressed !== undefined) return compressed;
  return new KitError('LAYER_INVALID', `${name}: the tar header at byte ${offset} has a wrong check sum`, {
    hint: 'the artifact is damaged; ask for it to be pushed again',
  });
}

/** Digits that the length of a pax record may have. */
const MAX_DIGITS = 9;

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
    const digits = space === -1 ? '' : bytes.toString('latin1', at, Math.min(space, at + MAX_DIGITS));
    const length = /^\d+$/.test(digits) ? Number(digits) : 0;
    const record = bytes.subarray(space + 1, at + length);
    const equals = record.indexOf(0x3d);
    if (equals < 1 || at + length > bytes.byteLength || record.at(-1) !== 0x0a) throw malformed(name, 'a pax header is malformed');
    const value = record.subarray(equals + 1, record.byteLength - 1);
    readRecord(fields, record.toString('utf8', 0, equals), value, name, global);
    at += length;
  }
  return fields;
}

function readRecord(fields: PaxFields, key: string, value: Buffer, name: string, global: boolean): void {
  if (key.startsWith('GNU.sparse.') || (global && (key === 'path' || key === 'size'))) {
    throw new KitError('UNSAFE_ENTRY', `${name}: the archive uses the pax record \`${key}\`, which is not supported`);
  }
  if (key !== 'path' && key !== 'size') return;
  // which of two counts would depend on the reader
  if (fields[key] !== undefined) throw malformed(name, `a pax header gives the ${key} twice`);
  if (key === 'path') fields.path = utf8(value, name);
  else fields.size = paxSize(value.toString('latin1'), name);
}

function paxSize(value: string, name: string): number {
  const size = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(size)) throw malformed(name, `a pax header gives the size ${JSON.stringify(value)}`);
  return size;
}

/** The text of a name. @throws KitError LAYER_INVALID where it is not UTF-8: it could not be written as it is */
export function utf8(bytes: Uint8Array, name: string): string {
  if (!isUtf8(bytes))
    throw malformed(name, `a tar header has the name ${JSON.stringify(Buffer.from(bytes).toString())}, which is not UTF-8`);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

function text(header: Buffer, start: number, length: number, name: string): string {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return utf8(end === -1 ? field : field.subarray(0, end), name);
}

// digits between spaces, then spaces and NULs only: readers differ on anything else
function octal(header: Buffer, start: number, length: number): number | undefined {
  const digits = /^ *([0-7]*)[ \0]*$/.exec(header.toString('latin1', start, start + length))?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits || '0', 8);
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
  throw malformed(name, 'a tar header gives a size that is no number');
}

function malformed(name: string, why: string): KitError {
  return new KitError('LAYER_INVALID', `${name}: ${why}`, { hint: 'the artifact is damaged; ask for it to be pushed again' });
}
