import { BLOCK, checksum, paddingFor } from '../../../src/blobs/tar-header.ts';

export interface RawEntry {
  readonly name: string | Uint8Array;
  /** Typeflag; default a file. */
  readonly type?: string;
  readonly mode?: number;
  readonly content?: string | Uint8Array;
  /** What the header says instead of the content's size: octal digits or raw bytes. */
  readonly size?: string | Uint8Array;
  readonly prefix?: string;
  readonly link?: string;
  readonly magic?: string;
  readonly checksum?: string;
}

/** One entry, written without any care. */
export function entry(raw: RawEntry): Buffer {
  const content = typeof raw.content === 'object' ? raw.content : Buffer.from(raw.content ?? '');
  const whole = Buffer.alloc(BLOCK + content.byteLength + paddingFor(content.byteLength));
  whole.set(content, BLOCK);
  const header = whole.subarray(0, BLOCK);
  const put = (value: string | Uint8Array, at: number): void =>
    void (typeof value === 'string' ? header.write(value, at) : Buffer.from(value).copy(header, at));
  put(raw.name, 0);
  put(`${(raw.mode ?? 0o644).toString(8).padStart(7, '0')}\0`, 100);
  put(raw.size ?? `${content.byteLength.toString(8).padStart(11, '0')}\0`, 124);
  put(raw.type ?? '0', 156);
  put(raw.link ?? '', 157);
  put(raw.magic ?? 'ustar\u000000', 257);
  put(raw.prefix ?? '', 345);
  put(raw.checksum ?? `${checksum(header).toString(8).padStart(6, '0')}\0 `, 148);
  return whole;
}

/** A whole archive with its two closing blocks. */
export function archive(...entries: readonly (RawEntry | Uint8Array)[]): Buffer {
  const blocks = entries.map((item) => (item instanceof Uint8Array ? item : entry(item)));
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}

/** A pax header with records as they are given. */
export function pax(records: readonly (readonly [key: string, value: string])[], type = 'x'): RawEntry {
  return { name: 'PaxHeaders.0/x', type, content: records.map(([key, value]) => record(key, value)).join('') };
}

function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(rest);
  while (String(length).length + Buffer.byteLength(rest) !== length) length += 1;
  return `${length}${rest}`;
}
