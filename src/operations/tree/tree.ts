import { CODES, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Artifact } from '../../formats/types.ts';
import type { Annotations, Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { type Index, type Manifest, parseIndex, parseManifest } from '../../oci/manifest.ts';
import { isIndexType, isManifestType } from '../../oci/media-types.ts';
import { formatReference, type Location, parseReference } from '../../oci/reference.ts';
import { legacyTag } from '../../signing/legacy-tag.ts';
import { describeIndex, describeManifest } from '../../formats/describe.ts';
import { labelPairs, parseModelIndex, type Variant } from '../../formats/model-index.ts';
import { formatOf } from '../../formats/registry.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import type { ReadTarget } from '../../targets/types.ts';
import { baseReference } from '../artifact/base-modelkit.ts';
import { kindOfReferrer, listReferrers, type ReferrerKind } from '../history/referrers.ts';
import type { Kit } from '../kit.ts';
import { type Lookup, openSource, type Source } from '../artifact/open-location.ts';
import { readAttachment, signaturesIn } from '../sign/signature-source.ts';
import { requireOneReference } from '../artifact/references.ts';
import { recallSource } from '../artifact/source-record.ts';
import { type Origin, originsOf } from './origin.ts';

export interface LineageArguments {
  readonly location: Location;
  readonly lookup: Lookup;
  /** Told of each manifest that is read, the artifact itself first. */
  readonly onVisit?: (visited: VisitedManifest) => void;
}

/** A manifest or index that was met, checked against its digest. */
export interface VisitedManifest extends Pick<Place, 'source' | 'descriptor' | 'relation'> {
  readonly content: Manifest | Index;
  readonly description: string;
  /** Undefined for what no format can read. */
  readonly artifact: Artifact | undefined;
}

/** What a node is to the one above it. `image`: a container image that refers to it. `member`: of an index. */
export type LineageRelation = 'root' | ReferrerKind | 'image' | 'member' | 'base' | Origin['relation'];

export interface LineageNode {
  readonly relation: LineageRelation;
  /** What people know it by: a reference, a URL, a name. Text of the artifact: to be escaped wherever it is shown. */
  readonly name: string | undefined;
  /** Undefined for what is only named: an origin, a dataset elsewhere. */
  readonly digest: Digest | undefined;
  /** In a few words. */
  readonly description: string;
  /** Bytes: of an artifact its layers, else of the content. */
  readonly size: number | undefined;
  /** Why what is below it is not shown. */
  readonly problem: string | undefined;
  /** True: this machine noted it when it packed the artifact, which does not say so itself. */
  readonly noted?: true;
  readonly children: readonly LineageNode[];
}

export interface LineageResult {
  readonly reference: string;
  readonly digest: Digest;
  /** Not everything is shown: there is more than the limits allow. */
  readonly truncated: boolean;
  readonly root: LineageNode;
}

/** A tree that is larger was made to keep us busy. */
const MAX_NODES = 2000;
const MAX_DEPTH = 16;

/** What may have been packed here. */
const PACKED: ReadonlySet<LineageRelation> = new Set(['root', 'base', 'member']);

/** One artifact on the way: where it is, and what it is to its parent. */
interface Place {
  readonly source: Source;
  readonly descriptor: Descriptor;
  readonly relation: LineageRelation;
  readonly name: string | undefined;
  readonly depth: number;
}

/**
 * Everything that an artifact comes from and that refers to it: bases, datasets, origins, members of an index, signatures, attestations,
 * SBOMs, converted images, and what refers to those. Nothing of it is verified but digests; no layer is read.
 * @throws KitError REFERENCE_NOT_FOUND | DIGEST_MISMATCH for the artifact itself; what is wrong below is a `problem` there
 */
export async function lineage(kit: Kit, { location, lookup, onVisit }: LineageArguments, call: CallOptions = {}): Promise<LineageResult> {
  requireOneReference(location, 'show');
  const source = await openSource(kit, location, lookup, call);
  const descriptor = await source.target.resolve(source.reference, call);
  const walk = new LineageWalk(kit, lookup, { call, onVisit });
  const root = await walk.visit({ source, descriptor, relation: 'root', name: source.name, depth: 0 });
  return { reference: source.name, digest: descriptor.digest, truncated: walk.truncated, root };
}

class LineageWalk {
  truncated = false;
  readonly #kit: Kit;
  readonly #lookup: Lookup;
  readonly #call: CallOptions;
  readonly #onVisit: LineageArguments['onVisit'];
  readonly #seen = new Set<string>();
  #nodes = 0;

  constructor(kit: Kit, lookup: Lookup, { call, onVisit }: { readonly call: CallOptions; readonly onVisit: LineageArguments['onVisit'] }) {
    this.#kit = kit;
    this.#lookup = lookup;
    this.#call = call;
    this.#onVisit = onVisit;
  }

  /** The node of an artifact with all below it. @throws KitError when it cannot be read itself */
  async visit(place: Place): Promise<LineageNode> {
    const { source, descriptor, relation, name, depth } = place;
    this.#nodes += 1;
    const node = { relation, name, digest: descriptor.digest };
    const key = `${source.target.name}@${descriptor.digest}`;
    if (this.#seen.has(key)) return { ...node, description: 'shown above', size: undefined, problem: undefined, children: [] };
    this.#seen.add(key);
    const bytes = await fetchMetadata(source.target, descriptor, this.#call);
    const { content, artifact, description, config } = await this.#read(source.target, descriptor, bytes);
    const isImage = relation === 'referrer' && description.startsWith('container image');
    const shown = { ...node, relation: isImage ? 'image' : relation, description, size: sizeOf(content) } as const;
    this.#onVisit?.({ source, descriptor, relation: shown.relation, content, description, artifact });
    if (depth >= MAX_DEPTH) {
      this.truncated = true;
      return { ...shown, problem: `more than ${MAX_DEPTH} levels: what is below is not shown`, children: [] };
    }
    const problems: string[] = [];
    const children = [
      ...(await this.#members(place, content, bytes)),
      ...(artifact === undefined ? [] : await this.#base(place, artifact)),
      ...this.#origins(content.annotations, artifact, config),
      ...(PACKED.has(relation) ? await this.#noted(descriptor.digest) : []),
      ...(await this.#referrers(place).catch((error: unknown) => this.#asProblem(error, problems))),
    ];
    return { ...shown, problem: problems[0], children };
  }

  async #read(target: ReadTarget, descriptor: Descriptor, bytes: Buffer): Promise<Content> {
    const { digest } = descriptor;
    if (isIndexType(descriptor.mediaType)) {
      const content = parseIndex(bytes, digest);
      return { content, artifact: undefined, description: describeIndex(content).replace(/ of sha(256|512):.*$/, ''), config: undefined };
    }
    const content = parseManifest(bytes, digest);
    const config = await fetchMetadata(target, content.config, this.#call);
    const format = formatOf(content);
    const description = describeManifest(withoutSubject(content), format.name, config);
    try {
      return { content, description, config, artifact: format.read(content, config, digest) };
    } catch (error) {
      if (error instanceof KitError && (error.code === 'UNSUPPORTED' || error.code === 'MANIFEST_INVALID'))
        return { content, description, config, artifact: undefined };
      throw error;
    }
  }

  async #members({ source, depth }: Place, content: Manifest | Index, bytes: Buffer): Promise<LineageNode[]> {
    if (!('manifests' in content)) return [];
    const nodes: LineageNode[] = [];
    const names = new Map(parseModelIndex(bytes, source.name).variants.map((variant) => [variant.descriptor.digest, nameOf(variant)]));
    for (const member of content.manifests) {
      if (this.#isFull()) break;
      nodes.push(await this.#child({ source, descriptor: member, relation: 'member', name: names.get(member.digest), depth: depth + 1 }));
    }
    return nodes;
  }

  /** The ModelKit that is named as the model, with what that one comes from. */
  async #base({ source, depth }: Place, artifact: Artifact): Promise<LineageNode[]> {
    const named = baseReference(artifact);
    if (named === undefined || this.#isFull()) return [];
    const nothing = { relation: 'base', digest: undefined, description: 'base ModelKit', size: undefined, children: [] } as const;
    try {
      const reference = parseReference(named);
      const name = formatReference(reference);
      const lookup = reference.registry === undefined ? 'local' : this.#lookup;
      const from = await openSource(this.#kit, { type: 'reference', reference }, lookup, this.#call);
      const descriptor = await from.target.resolve(from.reference, this.#call);
      return [await this.#child({ source: from, descriptor, relation: 'base', name, depth: depth + 1 })];
    } catch (error) {
      this.#nodes += 1;
      return [{ ...nothing, name: named, problem: problemOf(error, this.#call) ?? `${source.name} names it` }];
    }
  }

  #origins(annotations: Annotations | undefined, artifact: Artifact | undefined, config: Buffer | undefined): LineageNode[] {
    const nodes: LineageNode[] = [];
    for (const { relation, name, description, digest, size } of originsOf(annotations, artifact, config)) {
      if (this.#isFull()) break;
      this.#nodes += 1;
      nodes.push({ relation, name, description, digest, size, problem: undefined, children: [] });
    }
    return nodes;
  }

  /** The commit that it was packed in, if that was here. */
  async #noted(digest: Digest): Promise<LineageNode[]> {
    const record = await recallSource(this.#kit, digest);
    if (record === undefined || this.#isFull()) return [];
    this.#nodes += 1;
    const { remote, path, commit, when } = record;
    const where = path === undefined ? '' : `, in ${path}`;
    const description = `packed in commit ${commit}${where}, noted on this machine ${when}; not part of the artifact`;
    const node = { relation: 'origin', name: remote ?? 'git work tree', description, noted: true } as const;
    return [{ ...node, digest: undefined, size: undefined, problem: undefined, children: [] }];
  }

  /** By the API or its fallback, and under cosign's older tags. */
  async #referrers({ source, descriptor, relation: of, depth }: Place): Promise<LineageNode[]> {
    const { target } = source;
    const found: { descriptor: Descriptor; relation: LineageRelation; name: string | undefined }[] = [];
    for (const referrer of await listReferrers(target, descriptor, this.#call))
      if (isManifestType(referrer.mediaType) || isIndexType(referrer.mediaType))
        found.push({ descriptor: referrer, relation: kindOfReferrer(referrer), name: undefined });
    for (const [suffix, relation] of [
      ['sig', 'signature'],
      ['att', 'attestation'],
      ['sbom', 'sbom'],
    ] as const) {
      const tag = legacyTag(descriptor.digest, suffix);
      const tagged = tag === undefined || !HAS_OLDER_TAGS.has(of) ? undefined : await signaturesIn(target, this.#call).resolve(tag);
      if (tagged !== undefined) found.push({ descriptor: tagged, relation, name: tag });
    }
    const nodes: LineageNode[] = [];
    for (const one of found.toSorted((a, b) => rank(a.relation) - rank(b.relation))) {
      if (this.#isFull()) break;
      if (one.name === undefined && !(await this.#isAbout(target, one.descriptor, descriptor.digest))) continue;
      nodes.push(await this.#child({ source, depth: depth + 1, ...one }));
    }
    return nodes;
  }

  /** A list may be wrong: only what says so itself refers. What cannot be read is for the node to say. */
  async #isAbout(target: ReadTarget, listed: Descriptor, subject: Digest): Promise<boolean> {
    try {
      const bytes = await readAttachment(target, listed, this.#call);
      return (isIndexType(listed.mediaType) ? parseIndex : parseManifest)(bytes, listed.digest).subject?.digest === subject;
    } catch (error) {
      if (problemOf(error, this.#call) === undefined) throw error;
      return true;
    }
  }

  /** One that cannot be read is shown with the reason. */
  async #child(place: Place): Promise<LineageNode> {
    const { relation, name, descriptor } = place;
    if (!isManifestType(descriptor.mediaType) && !isIndexType(descriptor.mediaType)) {
      this.#nodes += 1;
      const description = descriptor.artifactType ?? descriptor.mediaType;
      return { relation, name, digest: descriptor.digest, description, size: descriptor.size, problem: undefined, children: [] };
    }
    try {
      return await this.visit(place);
    } catch (error) {
      const problem = problemOf(error, this.#call);
      if (problem === undefined) throw error;
      const description = descriptor.artifactType ?? descriptor.mediaType;
      return { relation, name, digest: descriptor.digest, description, size: undefined, problem, children: [] };
    }
  }

  #asProblem(error: unknown, problems: string[]): LineageNode[] {
    const problem = problemOf(error, this.#call);
    if (problem === undefined) throw error;
    problems.push(problem);
    return [];
  }

  #isFull(): boolean {
    if (this.#nodes < MAX_NODES) return false;
    this.truncated = true;
    return true;
  }
}

interface Content {
  readonly content: Manifest | Index;
  readonly artifact: Artifact | undefined;
  readonly description: string;
  readonly config: Buffer | undefined;
}

/** What an index calls a member: the tag that it was added by, its labels. */
function nameOf({ tag, labels }: Variant): string | undefined {
  const text = labelPairs(labels).join(', ');
  return tag === undefined ? text || undefined : `${tag}${text === '' ? '' : ` (${text})`}`;
}

/** The tree shows what it is about. */
function withoutSubject({ subject: _subject, ...manifest }: Manifest): Manifest {
  return manifest;
}

function sizeOf(content: Manifest | Index): number | undefined {
  return 'layers' in content ? content.layers.reduce((sum, { size }) => sum + size, 0) : undefined;
}

/** What people sign: asking for the tags of each signature's signature would triple the requests. */
const HAS_OLDER_TAGS: ReadonlySet<LineageRelation> = new Set(['root', 'member', 'base', 'image', 'referrer']);
const ORDER: readonly LineageRelation[] = ['signature', 'attestation', 'sbom', 'promotion', 'referrer'];
const rank = (relation: LineageRelation): number => ORDER.indexOf(relation);

/** What is wrong with one artifact, or with the place where it should be; undefined for what ends the whole. */
function problemOf(error: unknown, { signal }: CallOptions): string | undefined {
  if (signal?.aborted === true || !(error instanceof KitError)) return undefined;
  return CODES[error.code].exit === 'internal' || CODES[error.code].exit === 'interrupted' ? undefined : error.message;
}
