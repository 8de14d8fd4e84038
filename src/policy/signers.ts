import { ageProblem } from './duration.ts';
import { wholeRegExp } from './condition.ts';
import type { JudgedSignature } from './input.ts';
import type { SignedBy, Signer } from './schema.ts';
import { fewOf } from './verdict.ts';

/** What a policy calls one of its signers: in messages, and where signatures say by which key they are. */
export function signerName({ name, key, identity, identityRegexp, publicKey }: Signer): string {
  return name ?? key ?? identity ?? (identityRegexp === undefined ? undefined : `/${identityRegexp}/`) ?? inlineName(publicKey ?? '');
}

/** A key that stands in the policy itself, by the last of its letters. */
function inlineName(pem: string): string {
  const body = pem.replaceAll(/-----[^-]+-----|\s/g, '');
  return `publicKey ...${body.slice(-12)}`;
}

/**
 * Why the signatures do not suffice: `count` of the signers must have signed, each with a signature of its own, so that one person
 * whom two entries describe counts once. Undefined when they suffice.
 */
export function signersProblem(rule: SignedBy, signatures: readonly JudgedSignature[], now: string): string | undefined {
  const { signers, count = 1 } = rule;
  const refused: string[] = [];
  const counted = signatures.filter((one) => {
    const why = refusal(rule, one, now);
    if (why !== undefined) refused.push(`${one.digest ?? 'a signature'} because ${why}`);
    return why === undefined;
  });
  const found = distinctSigners(signers, counted);
  if (found >= count) return undefined;
  const names = fewOf(signers.map(signerName));
  const who = found === 0 ? 'nobody' : `${found} of ${count}`;
  const wanted = signers.length > 1 || count > 1 ? `${count} of ${names}` : names;
  return `${who} has signed it of those who must (${wanted})${refused.length > 0 ? `; not counted: ${fewOf(refused)}` : ''}`;
}

function refusal({ signers, annotations = {}, maxAge }: SignedBy, one: JudgedSignature, now: string): string | undefined {
  const { signer } = one;
  if (!one.accepted || signer === undefined) return one.reason ?? 'it is not valid';
  if (!signers.some((entry) => isBy(entry, signer)))
    return `it is by ${signer.type === 'key' ? `the key ${signer.name ?? ''}` : `${signer.identity ?? ''} (${signer.issuer ?? ''})`}`;
  for (const [name, value] of Object.entries(annotations))
    if (one.annotations?.[name] !== value) return `its annotation ${name} is not \`${value}\``;
  if (maxAge === undefined) return undefined;
  const times = (signer.times ?? []).map(({ time }) => time).toSorted();
  const [first] = times;
  if (first === undefined) return 'nothing proves when it was signed (no timestamp, no log entry with a time)';
  return times.map((time) => ageProblem(time, now, maxAge)).find((problem) => problem !== undefined);
}

type Signatory = NonNullable<JudgedSignature['signer']>;

function isBy(entry: Signer, signer: Signatory): boolean {
  if (entry.key !== undefined || entry.publicKey !== undefined)
    return signer.type === 'key' && [signer.name, ...(signer.names ?? [])].includes(signerName(entry));
  if (signer.type !== 'identity') return false;
  return isWanted(entry.identity, entry.identityRegexp, signer.identity) && isWanted(entry.issuer, entry.issuerRegexp, signer.issuer);
}

function isWanted(exact: string | undefined, pattern: string | undefined, actual: string | undefined): boolean {
  if (actual === undefined || actual === '') return false;
  return pattern === undefined ? actual === exact : wholeRegExp(pattern).exec(actual)?.[0] === actual;
}

/** How many entries have a signer each whom no other entry takes: the largest matching. */
function distinctSigners(entries: readonly Signer[], signatures: readonly JudgedSignature[]): number {
  const people = new Map(signatures.flatMap(({ signer }) => (signer === undefined ? [] : [[personOf(signer), signer]])));
  const taken = new Map<string, Signer>();
  const place = (entry: Signer, tried: Set<string>): boolean => {
    for (const [person, signer] of people) {
      if (tried.has(person) || !isBy(entry, signer)) continue;
      tried.add(person);
      const other = taken.get(person);
      if (other === undefined || place(other, tried)) {
        taken.set(person, entry);
        return true;
      }
    }
    return false;
  };
  return entries.filter((entry) => place(entry, new Set())).length;
}

/** One key under two names is one signer. */
function personOf({ type, keyId, name, identity, issuer }: Signatory): string {
  return type === 'key' ? `key ${keyId ?? name ?? ''}` : `${identity ?? ''}\n${issuer ?? ''}`;
}
