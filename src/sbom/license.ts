import { spdxOfHub } from '../kitfile/spdx-of-hub.ts';

/** Ids of the SPDX license list that models, datasets and their code come under, besides those of the hub. */
const MORE = [
  'MIT-0 AGPL-3.0-only AGPL-3.0-or-later GPL-2.0-only GPL-2.0-or-later GPL-3.0-only GPL-3.0-or-later',
  'LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-only LGPL-3.0-or-later BSD-4-Clause Apache-1.1 Python-2.0 PSF-2.0',
  'BlueOak-1.0.0 UPL-1.0 MulanPSL-2.0 CECILL-2.1 OpenSSL CDDL-1.0 CDDL-1.1 CC-BY-1.0 CC-PDDC NIST-PD OGL-UK-3.0 etalab-2.0',
].flatMap((line) => line.split(' '));
const BY_LOWER_CASE: ReadonlyMap<string, string> = new Map(MORE.map((id) => [id.toLowerCase(), id]));

/** A license as both standards want it. */
export type License =
  | { readonly kind: 'id'; readonly id: string }
  | { readonly kind: 'expression'; readonly expression: string }
  /** None that SPDX knows: `llama3.1`. */
  | { readonly kind: 'name'; readonly name: string };

/** Every id that is recognised is one of the SPDX list, in its letters. */
export function readLicense(text: string): License {
  const id = spdxId(text);
  if (id !== undefined) return { kind: 'id', id };
  const words = text.trim().split(/\s+|(?<=\()|(?=\))/);
  const known = words.map((word) => (/^(?:AND|OR|WITH|[()])$/.test(word) ? word : spdxId(word)));
  const isExpression = words.length > 2 && known.every((word) => word !== undefined) && isWellFormed(known);
  return isExpression
    ? { kind: 'expression', expression: known.join(' ').replaceAll('( ', '(').replaceAll(' )', ')') }
    : { kind: 'name', name: text.trim() };
}

function spdxId(text: string): string | undefined {
  const wanted = text.trim().toLowerCase();
  // `constructor` is a word that tables have without being asked
  if (wanted in Object.prototype) return undefined;
  const id = spdxOfHub(wanted);
  // what the hub does not list comes back as it is
  return id === wanted ? BY_LOWER_CASE.get(wanted) : id;
}

/** Operands and operators in turn, brackets in pairs; exceptions (WITH) are not known here, so there are none. */
function isWellFormed(words: readonly (string | undefined)[]): boolean {
  let depth = 0;
  let wantsOperand = true;
  for (const word of words) {
    if (word === '(') {
      if (!wantsOperand) return false;
      depth += 1;
    } else if (word === ')') {
      if (wantsOperand || depth === 0) return false;
      depth -= 1;
    } else {
      const isOperator = word === 'AND' || word === 'OR';
      if (isOperator === wantsOperand || word === 'WITH') return false;
      wantsOperand = isOperator;
    }
  }
  return depth === 0 && !wantsOperand;
}
