import { randomUUID } from 'node:crypto';
import type { DigestAlgorithm } from '../oci/digest.ts';
import type { BlobDirectory } from '../targets/blob-directory.ts';
import type { BlobUpload } from '../targets/blob-upload.ts';
import { DistributionError } from './distribution-error.ts';

const MAX_SESSIONS = 1000;
/** A client that lost its connection may come back so much later. */
const KEPT_MS = 24 * 60 * 60 * 1000;
/** One that has sent nothing yet has nothing to come back for. */
const KEPT_EMPTY_MS = 15 * 60 * 1000;
const SWEEP_EVERY_MS = 60_000;

interface Use {
  readonly abort: () => void;
  readonly done: Promise<void>;
}

/** An upload that was begun by POST. */
export class UploadSession {
  readonly id = randomUUID();
  readonly repository: string;
  readonly upload: BlobUpload;
  lastUsed: number;
  isOver = false;
  #use: Use | undefined;

  constructor(repository: string, upload: BlobUpload, now: number) {
    this.repository = repository;
    this.upload = upload;
    this.lastUsed = now;
  }

  get isInUse(): boolean {
    return this.#use !== undefined;
  }

  /**
   * Runs `work` while nobody else has the upload. An earlier request that has not ended is: the client would not send the next one
   * if its connection were still alive. `abort` is how that is done to this one.
   */
  async alone<T>(abort: () => void, work: () => Promise<T>): Promise<T> {
    while (this.#use !== undefined) {
      this.#use.abort();
      await this.#use.done;
    }
    const { promise: done, resolve: finish } = Promise.withResolvers<void>();
    this.#use = { abort, done };
    try {
      return await work();
    } finally {
      this.#use = undefined;
      finish();
    }
  }
}

/** The uploads under way. They end with the server; those that nobody goes on with end by themselves. */
export class UploadSessions {
  readonly #blobs: BlobDirectory;
  readonly #now: () => number;
  readonly #sessions = new Map<string, UploadSession>();
  readonly #timer: NodeJS.Timeout;

  constructor(blobs: BlobDirectory, now: () => number = Date.now) {
    this.#blobs = blobs;
    this.#now = now;
    this.#timer = setInterval(() => void this.sweep(), SWEEP_EVERY_MS).unref();
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** @throws DistributionError when there are too many */
  async begin(repository: string, algorithm: DigestAlgorithm): Promise<UploadSession> {
    if (this.#sessions.size >= MAX_SESSIONS) {
      throw new DistributionError(429, 'TOOMANYREQUESTS', `${MAX_SESSIONS} uploads are under way`, { 'Retry-After': '60' });
    }
    const session = new UploadSession(repository, await this.#blobs.beginUpload(algorithm), this.#now());
    this.#sessions.set(session.id, session);
    return session;
  }

  /** @throws DistributionError when there is no such session in the repository */
  find(repository: string, id: string): UploadSession {
    const session = this.#sessions.get(id);
    if (session?.repository !== repository || session.isOver) throw unknownUpload();
    session.lastUsed = this.#now();
    return session;
  }

  /** Ends the session; what came by it and was not committed is deleted. */
  async end(session: UploadSession): Promise<void> {
    session.isOver = true;
    this.#sessions.delete(session.id);
    await session.upload.cancel();
  }

  /** Ends what nobody has gone on with for long. */
  async sweep(): Promise<void> {
    for (const session of this.#sessions.values()) {
      const kept = session.upload.size === 0 ? KEPT_EMPTY_MS : KEPT_MS;
      if (!session.isInUse && this.#now() - session.lastUsed > kept) await this.end(session);
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    const end = (session: UploadSession): Promise<void> => session.alone(nothing, () => this.end(session));
    await Promise.all([...this.#sessions.values()].map(end));
  }
}

const nothing = (): void => {};

export function unknownUpload(): DistributionError {
  return new DistributionError(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
}
