import { KitError } from '../errors.ts';

export const BLOCK = 512;

/** Layers are written with these owners by every version of KitOps: part of the digest. */
const UID = 1000;
const GID = 0;
const NAME_SIZE = 100;
const PREFIX_SIZE = 155;
/** Sizes from here on do not fit the eleven octal digits of ustar (8 GiB). */
const OCTAL_LIMIT = 2 ** 33;

export interface TarEntryHeader {
  /** Relative path with `/`, no trailing slash. */
  readonly path: string;
  readonly type: 'file' | 'directory';
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  /** Bytes; 0 for a directory. */
  readonly size: number;
  /** Owner; that of KitOps unless told. */
  readonly uid?: number;
}

/**
 * The header blocks for one entry, byte for byte as Go's archive/tar writes them for KitOps:
 * ustar where name and size fit it, else a PAX record in front (POSIX pax, IEEE 1003.1).
 */
export function encodeTarHeader(entry: TarEntryHeader): Buffer {
  const typeflag = entry.type === 'directory' ? '5' : '0';
  const fields = { mode: entry.mode, uid: entry.uid ?? UID, gid: GID, size: entry.size, typeflag };
  const split = ustarName(entry);
  if (split !== undefined) return block({ ...fields, ...split });
  const data = paxData(entry);
  const slash = entry.path.lastIndexOf('/');
  const paxName = `${slash === -1 ? '' : entry.path.slice(0, slash + 1)}PaxHeaders.0/${entry.path.slice(slash + 1)}`;
  const name = toAscii(paxName).slice(0, NAME_SIZE).replace(/\/+$/, '');
  return Buffer.concat([
    rawBlock({ name, prefix: '', mode: 0, uid: 0, gid: 0, size: data.byteLength, typeflag: 'x' }),
    data,
    Buffer.alloc(paddingFor(data.byteLength)),
    block({ ...fields, name: toAscii(entry.path), prefix: '', size: sizeFits(entry) ? entry.size : 0 }),
  ]);
}

/** Bytes of `encodeTarHeader(entry)`. */
export function tarHeaderSize(entry: TarEntryHeader): number {
  if (ustarName(entry) !== undefined) return BLOCK;
  const size = paxData(entry).byteLength;
  return 2 * BLOCK + size + paddingFor(size);
}

function ustarName(entry: TarEntryHeader): { name: string; prefix: string } | undefined {
  const split = splitPath(entry.path);
  return sizeFits(entry) ? split : undefined;
}

function sizeFits({ size }: TarEntryHeader): boolean {
  return size < OCTAL_LIMIT;
}

function paxData(entry: TarEntryHeader): Buffer {
  const records: string[] = [];
  if (!isAscii(entry.path) || entry.path.length > NAME_SIZE) records.push(paxRecord('path', entry.path));
  if (!sizeFits(entry)) records.push(paxRecord('size', String(entry.size)));
  return Buffer.from(records.join(''));
}

/** Zero bytes that follow `size` bytes of content. */
export function paddingFor(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

interface Fields {
  readonly name: string;
  readonly prefix: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly typeflag: string;
}

function rawBlock(fields: Fields, devices = false): Buffer {
  const header = Buffer.alloc(BLOCK);
  writeName(header, fields.name);
  octal(header, 100, 8, fields.mode);
  octal(header, 108, 8, fields.uid);
  octal(header, 116, 8, fields.gid);
  octal(header, 124, 12, fields.size);
  octal(header, 136, 12, 0);
  header.write(fields.typeflag, 156, 'latin1');
  header.write('ustar\u000000', 257, 'latin1');
  if (devices) {
    octal(header, 329, 8, 0);
    octal(header, 337, 8, 0);
  }
  header.write(fields.prefix, 345, PREFIX_SIZE, 'latin1');
  octal(header, 148, 7, checksum(header));
  header.write(' ', 155, 'latin1');
  return header;
}

function block(fields: Fields): Buffer {
  return rawBlock(fields, true);
}

// a cut name that ends in a slash would make old readers take a file for a directory: Go ends it before the slashes
function writeName(header: Buffer, name: string): void {
  header.write(name, 0, NAME_SIZE, 'latin1');
  if (name.length <= NAME_SIZE || name[NAME_SIZE - 1] !== '/') return;
  header[name.slice(0, NAME_SIZE - 1).replace(/\/+$/, '').length] = 0;
}

function octal(header: Buffer, offset: number, length: number, value: number): void {
  header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, offset, length, 'latin1');
}

/** Sum of the header's bytes with the checksum field taken as spaces. */
export function checksum(header: Uint8Array): number {
  let sum = 8 * 0x20;
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += header[i] ?? 0;
  return sum;
}

function splitPath(path: string): { name: string; prefix: string } | undefined {
  if (path.includes('\0')) throw new KitError('PATH_UNSUPPORTED', `${path}: a name with a NUL byte cannot be packed`);
  if (!isAscii(path)) return undefined;
  if (path.length <= NAME_SIZE) return { name: path, prefix: '' };
  const slash = path.slice(0, PREFIX_SIZE + 1).lastIndexOf('/');
  const suffix = path.length - slash - 1;
  if (slash <= 0 || suffix > NAME_SIZE || suffix === 0 || slash > PREFIX_SIZE) return undefined;
  return { name: path.slice(slash + 1), prefix: path.slice(0, slash) };
}

// `LENGTH KEY=VALUE\n`, where LENGTH counts itself
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const size = Buffer.byteLength(rest);
  let length = size + String(size).length;
  if (String(length).length !== String(size).length) length = size + String(length).length;
  return `${length}${rest}`;
}

function isAscii(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- the range of ASCII
  return /^[\u0001-\u007f]*$/.test(text);
}

function toAscii(text: string): string {
  // oxlint-disable-next-line no-control-regex -- the range of ASCII
  return text.replaceAll(/[^\u0001-\u007f]/gu, '');
}
