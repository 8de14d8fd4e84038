import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { asPathError } from '../blobs/path-error.ts';
import { KitError } from '../errors.ts';
import { plainText } from '../registry/redact.ts';
import { logV2Witness, logWitness, timestampWitness } from './log-witness.ts';
import type { Witness } from './signer.ts';

/** Which services take part in a signature. */
export interface SigningServices {
  /** Certificate authority; undefined where there is none. */
  readonly fulcioUrl: string | undefined;
  /** OpenID Connect issuer, for people. */
  readonly oidcIssuer: string | undefined;
  readonly logs: readonly { readonly url: string; readonly version: 1 | 2 }[];
  readonly timestampUrls: readonly string[];
}

/** The public instance of sigstore. */
export const PUBLIC_SERVICES: SigningServices = {
  fulcioUrl: 'https://fulcio.sigstore.dev',
  oidcIssuer: 'https://oauth2.sigstore.dev/auth',
  logs: [{ url: 'https://rekor.sigstore.dev', version: 1 }],
  timestampUrls: [],
};

export function witnessesOf({ logs, timestampUrls }: SigningServices, signal?: AbortSignal): Witness[] {
  return [
    ...logs.map(({ url, version }) => (version === 1 ? logWitness(url) : logV2Witness(url, signal))),
    ...timestampUrls.map((url) => timestampWitness(url)),
  ];
}

/** SigningConfig of sigstore_trustroot.proto as JSON. */
const serviceSchema = z.looseObject({
  url: z.url({ protocol: /^https?$/ }),
  majorApiVersion: z.int(),
  validFor: z.looseObject({ start: z.coerce.date(), end: z.coerce.date().optional() }).optional(),
  operator: z.string().optional(),
});
const selectionSchema = z.looseObject({ selector: z.enum(['ANY', 'ALL', 'EXACT']).optional(), count: z.int().positive().optional() });
const configSchema = z.looseObject({
  mediaType: z.literal('application/vnd.dev.sigstore.signingconfig.v0.2+json'),
  caUrls: z.array(serviceSchema).optional(),
  oidcUrls: z.array(serviceSchema).optional(),
  rekorTlogUrls: z.array(serviceSchema).optional(),
  rekorTlogConfig: selectionSchema.optional(),
  tsaUrls: z.array(serviceSchema).optional(),
  tsaConfig: selectionSchema.optional(),
});
type Service = z.infer<typeof serviceSchema>;

/** A signing config, as `cosign signing-config create` writes it. @throws KitError CONFIG_INVALID | PATH_NOT_FOUND */
export async function readSigningConfig(file: string, now = new Date()): Promise<SigningServices> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => Promise.reject(asPathError(error, file)));
  try {
    return servicesOf(configSchema.parse(JSON.parse(text)), now);
  } catch (cause) {
    const [issue] = cause instanceof z.ZodError ? cause.issues : [];
    const why = issue === undefined ? (cause as Error).message : `${issue.path.join('.')}: ${issue.message}`;
    throw new KitError('CONFIG_INVALID', `${file} is no signing config of sigstore (v0.2): ${plainText(why)}`, {
      hint: 'make one with `cosign signing-config create`',
      cause,
    });
  }
}

function servicesOf(config: z.infer<typeof configSchema>, now: Date): SigningServices {
  const logs = select(config.rekorTlogUrls, 2, config.rekorTlogConfig, now);
  return {
    fulcioUrl: usable(config.caUrls, 1, now)[0]?.url,
    oidcIssuer: usable(config.oidcUrls, 1, now)[0]?.url,
    logs: logs.map(({ url, majorApiVersion }) => ({ url, version: majorApiVersion === 2 ? 2 : 1 })),
    timestampUrls: select(config.tsaUrls, 1, config.tsaConfig, now).map(({ url }) => url),
  };
}

/** Those in use now whose API is known: the newest API first, of equal ones the newest service. */
function usable(services: readonly Service[] = [], maxVersion: number, now: Date): Service[] {
  const started = ({ validFor }: Service): number => validFor?.start.getTime() ?? 0;
  const isKnown = ({ majorApiVersion: version }: Service): boolean => version >= 1 && version <= maxVersion;
  return services
    .filter((one) => isKnown(one) && started(one) <= now.getTime() && (one.validFor?.end ?? now) >= now)
    .toSorted((one, other) => other.majorApiVersion - one.majorApiVersion || started(other) - started(one));
}

/** One service an operator, as many as the config asks for (ServiceSelector). */
function select(services: readonly Service[] = [], maxVersion: number, config: z.infer<typeof selectionSchema> = {}, now: Date): Service[] {
  if (services.length === 0) return [];
  const byOperator = Map.groupBy(usable(services, maxVersion, now), ({ operator, url }) => operator ?? url);
  const found = [...byOperator.values()].flatMap(([first]) => first ?? []);
  const counts = { ALL: Math.max(found.length, 1), EXACT: config.count ?? 1, ANY: 1 };
  const count = counts[config.selector ?? 'ANY'];
  if (found.length >= count) return found.slice(0, count);
  throw new Error(`it asks for ${count} of ${services.map(({ url }) => url).join(', ')}, and ${found.length} can be used now`);
}
