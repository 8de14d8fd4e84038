import { KitError } from '../errors.ts';

/** Cosign's short names of predicate types. */
const PREDICATE_TYPES: Readonly<Record<string, string>> = {
  custom: 'https://cosign.sigstore.dev/attestation/v1',
  slsaprovenance: 'https://slsa.dev/provenance/v0.2',
  slsaprovenance02: 'https://slsa.dev/provenance/v0.2',
  slsaprovenance1: 'https://slsa.dev/provenance/v1',
  link: 'https://in-toto.io/Link/v1',
  spdx: 'https://spdx.dev/Document',
  spdxjson: 'https://spdx.dev/Document',
  cyclonedx: 'https://cyclonedx.org/bom',
  vuln: 'https://cosign.sigstore.dev/attestation/vuln/v1',
  openvex: 'https://openvex.dev/ns',
};

/** What `--type` says: one of cosign's names, or the URI itself. @throws KitError USAGE */
export function predicateTypeOf(type: string): string {
  const known = Object.hasOwn(PREDICATE_TYPES, type) ? PREDICATE_TYPES[type] : undefined;
  if (known !== undefined) return known;
  if (/^[a-z][a-z0-9+.-]*:\S+$/i.test(type)) return type;
  throw new KitError('USAGE', `unknown predicate type \`${type}\``, {
    hint: `use one of ${Object.keys(PREDICATE_TYPES).join(', ')}, or a URI`,
  });
}

/**
 * The predicate of an attestation, as JSON text, as cosign makes it of a file: `custom` carries the text of the file, all other types the
 * JSON object that it holds, here to the letter (cosign wants an object in a bundle, for `spdx` too). `time` is RFC 3339. @throws KitError USAGE when it is not JSON; `file` names it
 */
export function predicateOf(type: string, text: string, { file, time }: { file: string; time: string }): string {
  if (type === 'custom' || type === PREDICATE_TYPES['custom']) return JSON.stringify({ Data: text, Timestamp: time });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new KitError('USAGE', `${file} is not JSON: ${(cause as Error).message}`, {
      hint: 'predicates are JSON, but for `--type custom`, which takes any text',
      cause,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new KitError('USAGE', `${file} holds no JSON object`, { hint: `a predicate of type ${predicateTypeOf(type)} is an object` });
  }
  return text.trim();
}
