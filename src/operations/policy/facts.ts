import { isKitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { stringifyExact } from '../../oci/json.ts';
import { parseIndex } from '../../oci/manifest.ts';
import { ANNOTATION, isIndexType } from '../../oci/media-types.ts';
import { parseLocation, type Reference, parseReference } from '../../oci/reference.ts';
import { type AttestationReport, checkAttestations } from '../../signing/check-attestations.ts';
import { checkSignatures } from '../../signing/check-signatures.ts';
import type { Verifier } from '../../signing/verifier.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import type { ReadTarget } from '../../targets/types.ts';
import type { InputPart, Policy } from '../../policy/schema.ts';
import { findSboms } from '../sign/download.ts';
import type { Kit } from '../kit.ts';
import { type ExaminedArtifact, examineArtifact } from '../artifact/load-artifact.ts';
import { coveringIndex } from '../artifact/admission.ts';
import type { Source } from '../artifact/open-location.ts';
import { policyFiles } from './files.ts';
import type { OpenPolicy } from './open.ts';
import { createdInConfig } from '../sbom/subject.ts';
import { collect } from '../sign/signature-reports.ts';
import { originOf, signaturesIn } from '../sign/signature-source.ts';

/** What a policy is asked about. */
export interface PolicySubject {
  readonly source: Source;
  readonly manifest: Descriptor;
  /** The name that rules about references are for: where a copy is to go, or where it is. */
  readonly name: string;
}

/** Which parts of the document a policy looks at. */
export function partsOf({ policy, rego }: Pick<OpenPolicy, 'policy' | 'rego'>): ReadonlySet<InputPart> {
  const asked: readonly [InputPart, unknown][] = [
    ['files', policy.files],
    ['signatures', policy.signatures],
    ['attestations', policy.attestations],
    ['attestations', policy.sbom],
    ['sboms', policy.sbom],
  ];
  const free: readonly InputPart[] = policy.conditions === undefined ? [] : partsNamed(policy.conditions.map(({ path }) => path).join(' '));
  const all: readonly InputPart[] = ['files', 'signatures', 'attestations', 'sboms'];
  return new Set([
    ...asked.flatMap(([part, rule]) => (rule === undefined ? [] : [part])),
    ...free,
    ...rego.flatMap(({ inputs }) => inputs ?? all),
  ]);
}

/** A condition on the whole document may look at any part of it; what it does not name need not be found out. */
function partsNamed(paths: string): InputPart[] {
  return (['files', 'signatures', 'attestations', 'sboms'] as const).filter(
    (part) => paths.includes(part) || /\\|\$(?:\.\.|\.?\*|\[[*?])/.test(paths),
  );
}

/** Finds out what the document of a policy holds, each part when it is first asked for. */
export class PolicyFacts {
  readonly #kit: Kit;
  readonly #subject: PolicySubject;
  readonly #call: CallOptions;
  #examined: Promise<ExaminedArtifact> | undefined;
  readonly #files = new Map<string, Promise<unknown>>();

  constructor(kit: Kit, subject: PolicySubject, call: CallOptions) {
    this.#kit = kit;
    this.#subject = subject;
    this.#call = call;
  }

  /**
   * The document for one policy, as plain JSON. What lies beside the artifact is looked for where the artifact is, and with `withOrigin`
   * in the registry too that it comes from; of one that was chosen from an index by label, also what lies beside that.
   */
  async document(open: OpenPolicy, verifier: () => Promise<Verifier>, withOrigin: boolean): Promise<Record<string, unknown>> {
    const parts = partsOf(open);
    const unknown: string[] = [];
    const document: Record<string, unknown> = { ...(await this.#base()) };
    if (parts.has('files')) document['files'] = await this.#listing(open.policy, open.rego.length > 0, unknown);
    const signed = parts.has('signatures') || parts.has('attestations');
    const by = signed ? await verifier() : undefined;
    const { source, manifest } = this.#subject;
    // the digest must stand for content that is there and sound
    await fetchMetadata(source.target, manifest, this.#call);
    const index = await coveringIndex(source, manifest, this.#call);
    for (const place of [{ source, manifest }, ...(index === undefined ? [] : [index])]) {
      const own = await this.#beside(place.source.target, place.manifest, parts, by);
      const origin = withOrigin
        ? await unlessUnreachable(async () => {
            const target = await originOf(this.#kit, place.source);
            return target === undefined ? {} : await this.#beside(target, place.manifest, parts, by);
          }, unknown)
        : {};
      for (const found of [own, origin]) {
        for (const [part, list] of Object.entries(found)) document[part] = merged(document[part] as Found[] | undefined, list);
      }
    }
    if (unknown.length > 0) document['unknown'] = unknown;
    // integers that JSON.parse cannot hold become what it makes of them
    return JSON.parse(stringifyExact(document)) as Record<string, unknown>;
  }

  async #base(): Promise<Record<string, unknown>> {
    const { source, manifest, name } = this.#subject;
    const { artifact, content, descriptor } = await this.#examine();
    const reference = referenceIn(name);
    const created = content.annotations?.[ANNOTATION.created] ?? (artifact === undefined ? undefined : createdInConfig(artifact.config));
    return {
      reference: name,
      registry: reference?.registry,
      repository: reference?.repository === '' ? undefined : reference?.repository,
      tag: reference?.tags[0],
      digest: manifest.digest,
      pinned: referenceIn((source.index ?? source).name)?.digest !== undefined,
      local: source.isLocal,
      now: new Date().toISOString(),
      mediaType: descriptor.mediaType,
      artifactType: content.artifactType,
      annotations: content.annotations ?? {},
      manifest: content,
      config: artifact === undefined ? undefined : jsonIn(artifact.config),
      format: artifact?.format,
      kitfile: artifact?.kitfile,
      created,
    };
  }

  /** Everything that an index lists, also where one of it stands for all: whoever moves the index moves the others too. */
  async members(): Promise<readonly Descriptor[]> {
    const { source, manifest } = this.#subject;
    if (!isIndexType(manifest.mediaType)) return [];
    return parseIndex(await fetchMetadata(source.target, manifest, this.#call), source.name).manifests;
  }

  async #examine(): Promise<ExaminedArtifact> {
    const { source, manifest } = this.#subject;
    return await (this.#examined ??= examineArtifact(source.target, manifest.digest, source.name, this.#call));
  }

  async #listing({ files, conditions }: Policy, hasRego: boolean, unknown: string[]): Promise<unknown> {
    const { artifact, problem } = await this.#examine();
    if (artifact === undefined) {
      unknown.push(problem ?? `${this.#subject.source.name} is an index of several artifacts`);
      return undefined;
    }
    const options = {
      verified: files?.listing !== 'ranges',
      content: files?.denyContent !== undefined || conditions !== undefined || hasRego,
    };
    const key = JSON.stringify(options);
    const listing = this.#files.get(key) ?? policyFiles(this.#kit, this.#subject.source, artifact, options, this.#call);
    this.#files.set(key, listing);
    return await listing;
  }

  async #beside(
    target: ReadTarget,
    manifest: Descriptor,
    parts: ReadonlySet<InputPart>,
    verifier: Verifier | undefined,
  ): Promise<Readonly<Record<string, readonly Found[]>>> {
    const signatures = signaturesIn(target, this.#call);
    const found: Record<string, readonly Found[]> = {};
    const look = async (part: InputPart, work: () => Promise<readonly Found[]>): Promise<void> => {
      if (parts.has(part)) found[part] = await work();
    };
    if (verifier !== undefined) {
      const requirement = { verifier, digest: manifest.digest, annotations: {} };
      await look('signatures', async () => await collect(checkSignatures(signatures, manifest, requirement), this.#call));
      const any = { verifier, digest: manifest.digest, predicateType: undefined };
      await look('attestations', async () => (await collect(checkAttestations(signatures, manifest, any), this.#call)).map(flatten));
    }
    await look('sboms', async () => (await findSboms(target, manifest, this.#call)).map(({ digest, type }) => ({ digest, type })));
    return found;
  }
}

type Found = object & { readonly digest: string };

/** The statement's type and predicate are what rules ask for. */
function flatten({ statement, ...report }: AttestationReport): Found {
  return { ...report, ...(statement && { predicateType: statement.predicateType, predicate: statement.predicate }) };
}

/** What the second place has and the first has not. */
function merged(first: readonly Found[] | undefined, more: readonly Found[]): readonly Found[] {
  if (first === undefined) return more;
  const seen = new Set(first.map((one) => JSON.stringify(one)));
  return [...first, ...more.filter((one) => !seen.has(JSON.stringify(one)))];
}

/** What is in local storage can be judged by what is known here: a registry that cannot be asked leaves the rest unknown. */
async function unlessUnreachable<T extends object>(work: () => Promise<T>, unknown: string[]): Promise<T | Record<string, never>> {
  try {
    return await work();
  } catch (error) {
    if (!isKitError(error, 'NETWORK', 'TLS_FAILED', 'UNAUTHORIZED', 'DENIED', 'CREDENTIALS_FAILED', 'REGISTRY_ERROR')) throw error;
    unknown.push(`what lies in the registry: ${error.message}`);
    return {};
  }
}

/** Of a name in the store or a registry, or of one in a layout that has a registry in it. */
function referenceIn(name: string): Reference | undefined {
  const location = parseLocation(name);
  if (location.type === 'reference') return location.reference;
  return location.reference?.includes('/') === true ? parseReference(location.reference) : undefined;
}

function jsonIn(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    // a config need not be JSON
    return undefined;
  }
}
