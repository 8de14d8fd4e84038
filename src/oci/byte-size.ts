import { KitError } from '../errors.ts';

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
  ti: 2 ** 40,
};

/** `500`, `20GiB`, `1.5 TB`, `10m` in bytes. @throws KitError USAGE naming `flag` */
export function parseByteSize(text: string, flag: string): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?$/i.exec(text.trim()) ?? [];
  const factor = UNITS[unit.toLowerCase()];
  if (number === undefined || factor === undefined)
    throw new KitError('USAGE', `invalid size \`${text}\` for ${flag}`, { hint: 'write it as 500MB or 20GiB' });
  return Math.floor(Number(number) * factor);
}
