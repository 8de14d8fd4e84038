import { type Digest, digestOf } from './digest.ts';

export type Annotations = Readonly<Record<string, string>>;

/** OCI image spec, descriptor.md. Key order here is the order on the wire. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly annotations?: Annotations;
  readonly artifactType?: string;
}

/** The descriptor of `bytes`. */
export function describe(mediaType: string, bytes: Uint8Array): Descriptor {
  return { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
}
