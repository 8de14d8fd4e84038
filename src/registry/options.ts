import type { Credential } from './credential.ts';
import type { MirrorTable } from './mirrors.ts';
import type { RangeLimits } from './range-planner.ts';
import type { RegistrySettings } from './settings.ts';

/** Waits `ms` milliseconds; rejects with the signal's reason when it aborts. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

/** How to reach registries. Nothing here is read from the process: the caller passes `env`. */
export interface NetworkOptions {
  /** Unset: http for loopback hosts, https elsewhere. */
  readonly plainHttp?: boolean | undefined;
  /** False accepts any certificate; it never falls back to http. Default true. */
  readonly tlsVerify?: boolean | undefined;
  /** Path of a PEM file; goes with `clientKey`. */
  readonly clientCert?: string | undefined;
  readonly clientKey?: string | undefined;
  /** Paths of PEM files with certificate authorities, trusted besides the system's. */
  readonly caFiles?: readonly string[] | undefined;
  /** Proxy for every request; unset: HTTP_PROXY, HTTPS_PROXY and NO_PROXY of `env`. */
  readonly proxy?: string | undefined;
  readonly userAgent?: string | undefined;
  /** Environment variables: proxies, credential files, PATH of the credential helpers. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** The home of kit, whose `credentials.json` is asked first. */
  readonly home?: string | undefined;
  /** Credentials by registry host; they win over every file and helper. */
  readonly credentials?: Readonly<Record<string, Credential>> | undefined;
  /** What is configured for single registries; what this record says of all of them comes first. */
  readonly registries?: readonly RegistrySettings[] | undefined;
  /** Where repositories are read besides their own registry; of equal prefixes the first counts. */
  readonly mirrors?: readonly MirrorTable[] | undefined;
  /** Bytes of an upload chunk by registry host. Hosts not named here take a blob in one request. */
  readonly chunkSizes?: Readonly<Record<string, number>> | undefined;
  /** How retries wait; tests pass one that does not. */
  readonly sleep?: Sleep | undefined;
  /** How blobs are read: `socket` (unless told) straight from the connection where the answer is plain, `parser` always through that of Node. */
  readonly bodyReader?: 'socket' | 'parser' | undefined;
  /** How long an answer or its next byte may take, in milliseconds. */
  readonly stallTimeoutMs?: number | undefined;
  /** Bytes per second that a connection has to carry, on average over that time, in either direction. */
  readonly minRate?: number | undefined;
  /** When and how one blob is read over several connections; what is not given stays as it is. */
  readonly ranges?: Partial<RangeLimits> | undefined;
}
