import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parseByteSize } from '../../src/oci/byte-size.ts';

const COMMON = { runs: '3', dir: tmpdir(), peer: 'kit', ours: join(import.meta.dirname, '..', '..', 'bin', 'kit.js') };
const COMMON_HELP = `
Options of every bench:
  --runs N     counted rounds, after one that warms up and is not counted
  --dir DIR    where models, stores and registries are written
  --peer NAME  KitOps' kit, by name on PATH or by path; what is not found is left out
  --ours FILE  the bin/kit.js to measure (npm run build makes it work)

Defaults:`;

/** Values of the options of a bench by name, all as text. */
export type Options<Name extends string> = Readonly<Record<Name | keyof typeof COMMON, string>>;

/**
 * Reads the command line of the bench `script`: `own` are its own options with their defaults. `--help` prints the comment at the top of the
 * file; that and a wrong option end the process.
 */
export function readOptions<Name extends string>(script: string, own: Readonly<Record<Name, string>>): Options<Name> {
  const defaults: Readonly<Record<string, string>> = { ...COMMON, ...own };
  const options = Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, { type: 'string', default: value }] as const));
  try {
    const { values } = parseArgs({ options: { ...options, help: { type: 'boolean', short: 'h' } } });
    if (!values['help']) return values as unknown as Options<Name>;
    const shown = Object.entries(defaults).map(([name, value]) => ` --${name} ${value}`);
    console.log(`${headComment(script)}\n${COMMON_HELP}${shown.join('')}`);
    process.exit(0);
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function headComment(script: string): string {
  const lines = readFileSync(fileURLToPath(script), 'utf8').split('\n');
  const end = lines.findIndex((line) => !line.startsWith('//'));
  return lines
    .slice(0, end)
    .map((line) => line.replace(/^\/\/ ?/, ''))
    .join('\n');
}

/** `3GiB` in bytes; anything else ends the process. */
export function bytes(values: Readonly<Record<string, string>>, name: string): number {
  return byteSize(values[name] ?? '', `--${name}`);
}

/** As `bytes`, of a text that is a part of the value of `flag`. */
export function byteSize(text: string, flag: string): number {
  try {
    return parseByteSize(text, flag);
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

/** A whole number, 1 or more; anything else ends the process. */
export function count(values: Readonly<Record<string, string>>, name: string): number {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < 1) return refuse(`--${name} takes a whole number, 1 or more, not ${values[name]}`);
  return value;
}

function refuse(message: string): never {
  console.error(`error: ${message}\n\nhint: --help lists the options`);
  process.exit(2);
}
