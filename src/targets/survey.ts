import { isKitError, type KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { childrenOf, parseIndex } from '../oci/manifest.ts';
import { isIndexType, isManifestLike, MEDIA_TYPE } from '../oci/media-types.ts';
import type { BlobDirectory } from './blob-directory.ts';
import type { Finding } from './finding.ts';
import { fetchMetadata } from './manifest-bytes.ts';

/** A manifest and a reference that leads to it: `tiny:v1`, or `tiny@DIGEST` for one without a tag. */
export interface Root {
  readonly name: string;
  readonly descriptor: Descriptor;
}

/** What is known of a digest that some root reaches. */
export interface Use {
  readonly descriptor: Descriptor;
  readonly usedBy: Set<string>;
}

export interface Survey {
  /** Everything that the roots reach. */
  readonly uses: ReadonlyMap<Digest, Use>;
  readonly findings: readonly Finding[];
}

type Content = { readonly children: readonly Descriptor[] } | { readonly problem: KitError };

/**
 * Follows every reference: manifests are read and verified, of all other blobs only presence and size are looked at.
 * Nothing is changed.
 */
export async function survey(blobs: BlobDirectory, roots: readonly Root[], options: CallOptions = {}): Promise<Survey> {
  const uses = new Map<Digest, Use>();
  const contents = new Map<Digest, Content>();
  const findings: Finding[] = [];
  const sizes = new Map<string, Finding>();
  for (const { name, descriptor } of roots) {
    const seen = new Set<Digest>();
    const open = [descriptor];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (seen.has(next.digest)) continue;
      seen.add(next.digest);
      options.signal?.throwIfAborted();
      const use = uses.get(next.digest) ?? { descriptor: next, usedBy: new Set() };
      uses.set(next.digest, use);
      use.usedBy.add(name);
      if (!isManifestLike(next.mediaType)) {
        await lookAtSize(blobs, next, name, sizes);
        continue;
      }
      const content = contents.get(next.digest) ?? (await contentOf(blobs, next, options));
      contents.set(next.digest, content);
      if ('children' in content) open.push(...content.children);
    }
  }
  for (const [digest, content] of contents) {
    const use = uses.get(digest);
    if ('problem' in content && use !== undefined) findings.push(manifestFinding(digest, [...use.usedBy], content.problem));
  }
  for (const [digest, { descriptor, usedBy }] of uses) {
    if (!isManifestLike(descriptor.mediaType) && (await blobs.sizeOf(digest)) === undefined) findings.push(missing(digest, [...usedBy]));
  }
  return { uses, findings: [...findings, ...sizes.values()] };
}

async function contentOf(blobs: BlobDirectory, manifest: Descriptor, options: CallOptions): Promise<Content> {
  try {
    const bytes = await fetchMetadata(blobs, manifest, options);
    const children = childrenOf(manifest, bytes);
    if (!isIndexType(manifest.mediaType) || parseIndex(bytes, manifest.digest).artifactType !== MEDIA_TYPE.modelIndex) return { children };
    // one of ModelKits may have been fetched alone, or what it lists removed
    const present = await Promise.all(children.map(async (child) => (await blobs.sizeOf(child.digest)) !== undefined));
    return { children: children.filter((_, position) => present[position] === true) };
  } catch (error) {
    if (!isKitError(error)) throw error;
    return { problem: error };
  }
}

/** A descriptor may give another size than the file has, though its digest is right: then the manifest that names it is wrong. */
async function lookAtSize(blobs: BlobDirectory, blob: Descriptor, usedBy: string, found: Map<string, Finding>): Promise<void> {
  const size = await blobs.sizeOf(blob.digest);
  if (size === undefined || size === blob.size) return;
  const key = `${blob.digest} ${blob.size}`;
  const before = found.get(key)?.usedBy ?? [];
  found.set(key, {
    code: 'size-wrong',
    severity: 'damage',
    digest: blob.digest,
    path: blobs.pathOf(blob.digest),
    usedBy: [...before, usedBy],
    message: `the file has ${size} bytes, its manifest says ${blob.size}`,
    remedy: REMEDY,
  });
}

const REMEDY = 'pull or pack it again, which repairs what is damaged';
const REMEDY_MANIFEST = 'pull or pack it again; `--repair` takes the entry away';

function manifestFinding(digest: Digest, usedBy: string[], { code, message }: KitError): Finding {
  const plain = message.startsWith(`${digest}: `) ? message.slice(digest.length + 2) : message;
  const base = { severity: 'damage', digest, usedBy, message: plain, remedy: REMEDY_MANIFEST } as const;
  if (code === 'BLOB_NOT_FOUND') return { ...base, code: 'manifest-missing', message: 'the manifest is missing' };
  if (code === 'DIGEST_MISMATCH' || code === 'SIZE_MISMATCH') return { ...base, code: 'manifest-damaged' };
  if (code === 'MANIFEST_INVALID' || code === 'LIMIT_EXCEEDED') return { ...base, code: 'manifest-invalid' };
  return { ...base, code: 'blob-unreadable', remedy: 'make the file readable, or see to the disk' };
}

function missing(digest: Digest, usedBy: string[]): Finding {
  return { code: 'blob-missing', severity: 'damage', digest, usedBy, message: 'the blob is missing', remedy: REMEDY };
}

/** A blob whose file has other content than its name says. */
export function damagedBlob(digest: Digest, path: string, usedBy: readonly string[], actual: Digest): Finding {
  const isUsed = usedBy.length > 0;
  return {
    code: 'blob-damaged',
    severity: isUsed ? 'damage' : 'note',
    digest,
    path,
    usedBy,
    message: `the content has digest ${actual}`,
    remedy: isUsed ? REMEDY : '`kit store prune` removes it',
  };
}

/** A blob that the system does not let us read. */
export function unreadableBlob(digest: Digest, path: string, usedBy: readonly string[], { message }: KitError): Finding {
  const severity = usedBy.length > 0 ? 'damage' : 'note';
  return { code: 'blob-unreadable', severity, digest, path, usedBy, message, remedy: 'make the file readable, or see to the disk' };
}
