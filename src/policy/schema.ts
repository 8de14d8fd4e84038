import * as z from 'zod';
import { parseDuration } from './duration.ts';

const texts = z.array(z.string()).min(1, 'a list with an entry at least');
const text = z.string().optional();
const flag = z
  .enum(['true', 'false'], 'true or false')
  .transform((value) => value === 'true')
  .optional();
const maxAge = z
  .string()
  .refine((value) => parseDuration(value) !== undefined, 'an age such as 12h, 30d or 8w')
  .optional();
const count = z
  .string()
  .regex(/^[1-9]\d{0,3}$/, 'a whole number from 1 on')
  .transform(Number)
  .optional();

const WAYS = ['key', 'publicKey', 'identity', 'identityRegexp'] as const;

/** Who may have signed: a key, or an identity with the issuer that vouches for it. */
const signer = z
  .strictObject({
    name: text,
    key: text,
    publicKey: text,
    identity: text,
    identityRegexp: text,
    issuer: text,
    issuerRegexp: text,
  })
  .refine((value) => WAYS.filter((way) => value[way] !== undefined).length === 1, `one of ${WAYS.join(', ')}`)
  .refine(({ identity, identityRegexp, issuer, issuerRegexp }) => {
    const issuers = [issuer, issuerRegexp].filter((one) => one !== undefined).length;
    return issuers === (identity === undefined && identityRegexp === undefined ? 0 : 1);
  }, 'an identity with one of issuer, issuerRegexp (and a key without)');

const signers = z.array(signer).min(1, 'a list with a signer at least');

/** What asks for nothing would hold of everything. */
const asksSomething = (value: object): boolean => Object.values(value).some((field) => field !== undefined && field !== false);
/** More than there are can never have signed. */
const isReachable = ({
  signers: who,
  count: wanted = 1,
}: {
  signers?: readonly unknown[] | undefined;
  count?: number | undefined;
}): boolean => who === undefined || wanted <= who.length;
const UNREACHABLE = 'a rule whose count is no larger than its list of signers';

/** What may stand at the end of a condition, with any JSON as its value. */
export const FREE_FIELDS: ReadonlySet<string> = new Set(['equals', 'notEquals', 'in', 'notIn', 'contains', 'min', 'max']);

const free = z.unknown().optional();
const list = z.custom<readonly unknown[]>((value) => Array.isArray(value), 'a list').optional();
const bound = z.union([z.number(), z.string()], 'a number or a text').optional();
const OPERATORS = ['equals', 'notEquals', 'in', 'notIn', 'contains', 'pattern', 'valueRegexp', 'min', 'max', 'exists'] as const;

/** What must hold of the values that a JSONPath (RFC 9535) selects. */
const condition = z
  .strictObject({
    name: text,
    path: z.string(),
    match: z.enum(['all', 'any'], 'all or any').optional(),
    ignoreCase: flag,
    hint: text,
    equals: free,
    notEquals: free,
    in: list,
    notIn: list,
    contains: free,
    pattern: text,
    valueRegexp: text,
    min: bound,
    max: bound,
    exists: flag,
  })
  .refine((value) => OPERATORS.some((name) => value[name] !== undefined), `a path with one of ${OPERATORS.join(', ')}`);

const conditions = z.array(condition).min(1, 'a list with a condition at least').optional();

const signedBy = { name: text, count, maxAge, annotations: z.record(z.string(), z.string()).optional(), signers };

/** Parts of the document that take time to find out. */
export const INPUTS = ['files', 'signatures', 'attestations', 'sboms'] as const;
export type InputPart = (typeof INPUTS)[number];

const rules = {
  references: z
    .strictObject({ allow: texts.optional(), deny: texts.optional(), requireDigest: flag })
    .refine(asksSomething, 'a map with one of allow, deny, requireDigest')
    .optional(),
  formats: texts.optional(),
  created: z.strictObject({ maxAge: maxAge.unwrap() }).optional(),
  signatures: z.array(z.strictObject(signedBy).refine(isReachable, UNREACHABLE)).min(1, 'a list with a rule at least').optional(),
  attestations: z
    .array(
      z
        .strictObject({ ...signedBy, type: z.string(), conditions })
        .omit({ annotations: true })
        .refine(isReachable, UNREACHABLE),
    )
    .min(1, 'a list with a rule at least')
    .optional(),
  sbom: z
    .strictObject({
      formats: z
        .array(z.enum(['cyclonedx', 'spdx'], 'cyclonedx or spdx'))
        .min(1, 'a list with an entry at least')
        .optional(),
      signers: signers.optional(),
      count,
      maxAge,
    })
    .refine(
      ({ signers: who, count: wanted, maxAge: age }) => who !== undefined || (wanted ?? age) === undefined,
      'one with signers, for count and maxAge are about them',
    )
    .refine(isReachable, UNREACHABLE)
    .optional(),
  kitfile: conditions,
  files: z
    .strictObject({
      allow: texts.optional(),
      deny: texts.optional(),
      denyContent: z
        .array(z.enum(['pickle'], 'pickle'))
        .min(1, 'a list with an entry at least')
        .optional(),
      listing: z.enum(['verified', 'ranges'], 'verified or ranges').optional(),
    })
    .refine(({ listing: _how, ...asked }) => asksSomething(asked), 'a map with one of allow, deny, denyContent')
    .optional(),
  conditions,
  rego: z
    .array(
      z.strictObject({ file: z.string(), entrypoints: texts.optional(), inputs: z.array(z.enum(INPUTS, INPUTS.join(', '))).optional() }),
    )
    .min(1, 'a list with a file at least')
    .optional(),
};

export const policySchema = z
  .strictObject({
    version: z.literal('1', '1'),
    name: z.string().regex(/^[\w.-]{1,64}$/, 'a name of up to 64 letters, digits, `.`, `_` and `-`'),
    description: text,
    mode: z.enum(['enforce', 'warn'], 'enforce or warn').optional(),
    trust: z
      .strictObject({ trustedRoot: text, tufMirror: text, tufRoot: text, offline: flag, ignoreTlog: flag, ignoreSct: flag })
      .optional(),
    ...rules,
  })
  .refine((value) => Object.keys(rules).some((name) => value[name as keyof typeof rules] !== undefined), 'one with a rule');

/** A declarative policy: see docs/policy.md. */
export type Policy = z.infer<typeof policySchema>;
export type Signer = z.infer<typeof signer>;
export type Condition = z.infer<typeof condition>;
export type SignedBy = Pick<NonNullable<Policy['signatures']>[number], 'count' | 'maxAge' | 'annotations' | 'signers'>;
