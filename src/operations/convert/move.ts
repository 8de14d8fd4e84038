import { digestOfSource } from '../../blobs/digest-source.ts';
import { safePath } from '../../blobs/safe-path.ts';
import { type BlobSource, bytesSource } from '../../blob-source.ts';
import { releaseChunk } from '../../chunk.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Compression } from '../../blobs/compress.ts';
import type { PackFile } from '../../formats/types.ts';
import type { Annotations, Descriptor } from '../../oci/descriptor.ts';
import { type Digest, digestOf } from '../../oci/digest.ts';
import type { Target } from '../../targets/types.ts';
import { type Member, membersOf, memberSource, streamSource } from './members.ts';
import type { EntryLayers, FramedEntry } from './plan.ts';
import { type TarShape, tarSource } from './tar.ts';
import { openLayerBytes, type SourcedLayer, wrongDiffId } from '../artifact/layer-bytes.ts';
import { type WalkedEntry, walkLayer } from '../artifact/layer-files.ts';

/** The bytes of a layer in the new artifact. */
export interface NewBlob {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  /** Of the uncompressed content. */
  readonly diffId: Digest;
  /** The layer that it is, where its bytes were taken as they are: it still has to be brought there. */
  readonly reused?: Descriptor | undefined;
}

/** A file, or a folder of an archive that went by. */
export interface MovedFile extends PackFile {
  /** Undefined for a folder. */
  readonly blob: NewBlob | undefined;
  /** Of the layer that it was, where it was one. */
  readonly annotations?: Annotations | undefined;
}

/** An entry whose layers are known now: its files, or its archive. */
export interface MovedEntry extends EntryLayers {
  readonly files: readonly MovedFile[];
  readonly archive?: (NewBlob & { readonly compression: Compression; readonly annotations?: Annotations | undefined }) | undefined;
}

/** Up to this size a member is held in memory: the target is then asked first whether it has it. */
const SMALL_MEMBER = 8 * 1024 * 1024;

/** Where layers go that are not taken as they are. */
export interface Mover {
  readonly target: Target;
  readonly shape: TarShape;
  readonly call: CallOptions;
}

/** Brings what has to be re-framed of an entry into the target. @throws KitError as membersOf, or as the target */
export async function moveEntry(one: FramedEntry, mover: Mover): Promise<MovedEntry> {
  const { framing, items } = one;
  const [first] = items;
  if (framing === 'keep' && first !== undefined) {
    const { compression, descriptor } = first.layer;
    return { ...one, files: [], archive: { ...(await reusedBlob(first, mover.call)), compression, annotations: descriptor.annotations } };
  }
  if (framing === 'tar') return { ...one, files: [], archive: { ...(await mergeLayers(items, mover)), compression: 'none' } };
  const files: MovedFile[] = [];
  for (const item of items) {
    if (isPlainFile(item)) files.push(await reusedFile(item, mover.call));
    else files.push(...(await splitLayer(item, mover)));
  }
  return { ...one, files };
}

const NO_DIGEST = digestOf(new Uint8Array());

/** What `moveEntry` is going to return, with a digest that stands for those to come; undefined where that takes reading whole layers. */
export async function expectedEntry(one: FramedEntry, { signal }: CallOptions): Promise<MovedEntry | undefined> {
  const { framing, items } = one;
  const unknown = { digest: NO_DIGEST, diffId: NO_DIGEST, size: 0 };
  if (framing !== 'raw') return { ...one, files: [], archive: { ...unknown, compression: 'none' } };
  const files: MovedFile[] = [];
  for (const item of items) {
    const { encoding, compression, target, mode, descriptor } = item.layer;
    if (encoding === 'raw')
      files.push({ path: safePath(target, `layer ${descriptor.digest}`), type: 'file', mode, size: descriptor.size, blob: unknown });
    else if (compression !== 'none') return undefined;
    else {
      const add = ({ file: { path, type, mode: bits, size = 0 } }: WalkedEntry): void => {
        if (type === 'file') files.push({ path, type, mode: bits, size, blob: unknown });
        else if (type === 'directory') files.push({ path, type, mode: bits, size: 0, blob: undefined });
      };
      await walkLayer(item, 'any', add, signal === undefined ? {} : { signal });
    }
  }
  return { ...one, files };
}

/** True for a layer that is one uncompressed file. */
function isPlainFile({ layer }: SourcedLayer): boolean {
  return layer.encoding === 'raw' && layer.compression === 'none';
}

async function reusedFile(item: SourcedLayer, call: CallOptions): Promise<MovedFile> {
  const { target, mode, descriptor } = item.layer;
  const blob = await reusedBlob(item, call);
  const path = safePath(target, `layer ${descriptor.digest}`);
  return { path, type: 'file', mode, size: descriptor.size, blob, annotations: descriptor.annotations };
}

/** The bytes of a layer as they are. @throws KitError DIGEST_MISMATCH */
export async function reusedBlob(item: SourcedLayer, call: CallOptions): Promise<NewBlob> {
  const { descriptor, diffId, compression } = item.layer;
  const { digest, size } = descriptor;
  if (compression === 'none' && diffId !== undefined && diffId !== digest) throw wrongDiffId(digest, diffId, digest);
  return { digest, size, reused: descriptor, diffId: diffId ?? (compression === 'none' ? digest : await readDiffId(item, call)) };
}

/** Where no config gives it, the layer has to be read. */
async function readDiffId(item: SourcedLayer, call: CallOptions): Promise<Digest> {
  const opened = await openLayerBytes(item, 'never', call);
  const { digest } = await digestOfSource(
    streamSource(() => opened.bytes),
    call.signal,
  );
  opened.assertComplete();
  return digest;
}

/** One archive of what all the layers hold. */
export async function mergeLayers(items: readonly SourcedLayer[], { target, shape, call }: Mover): Promise<NewBlob> {
  for (const item of items) begin(item, call);
  const blob = await send(target, tarSource(items, shape, call), call);
  for (const item of items) end(item, call);
  return blob;
}

async function splitLayer(item: SourcedLayer, { target, call }: Mover): Promise<MovedFile[]> {
  begin(item, call);
  const files: MovedFile[] = [];
  for await (const member of membersOf(item, call)) {
    const { path, type, mode } = member;
    const blob = type === 'file' ? await sendMember(item, member, target, call) : undefined;
    files.push({ path, type, mode, size: blob?.size ?? 0, blob });
  }
  end(item, call);
  return files;
}

async function sendMember(item: SourcedLayer, member: Member, target: Target, call: CallOptions): Promise<NewBlob> {
  if (member.size === undefined || member.size > SMALL_MEMBER) return await send(target, memberSource(item, member, call), call);
  const bytes = Buffer.allocUnsafe(member.size);
  let at = 0;
  for await (const chunk of member.content()) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
    releaseChunk(chunk);
  }
  return await send(target, bytesSource(bytes), call);
}

/** The type of a blob that no manifest names yet. */
const UNTYPED = 'application/octet-stream';

async function send(target: Target, source: BlobSource, { signal }: CallOptions): Promise<NewBlob> {
  const { pushUnhashed } = target.can;
  if (pushUnhashed === undefined) throw new KitError('UNSUPPORTED', `${target.name} takes no layers that are made on the way`);
  const { digest, size } = await pushUnhashed(UNTYPED, source, signal === undefined ? {} : { signal });
  return { digest, size, diffId: digest };
}

function begin({ layer }: SourcedLayer, { onEvent }: CallOptions): void {
  const { digest, size } = layer.descriptor;
  onEvent?.({ type: 'blob', id: digest, action: 'pack', label: `${layer.role} ${layer.path}`, total: size });
}

function end({ layer }: SourcedLayer, { onEvent }: CallOptions): void {
  onEvent?.({ type: 'done', id: layer.descriptor.digest, outcome: 'copied' });
}
