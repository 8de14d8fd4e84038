/** Exit status of the process for each class of error. */
export const EXIT = {
  failure: 1,
  usage: 2,
  notFound: 3,
  auth: 4,
  network: 5,
  integrity: 6,
  internal: 70,
  interrupted: 130,
} as const;

export type ExitClass = keyof typeof EXIT;

interface CodeInfo {
  readonly exit: ExitClass;
  readonly meaning: string;
}

/** The closed table of error codes: docs/errors.md is generated from it. */
export const CODES = {
  USAGE: { exit: 'usage', meaning: 'The command line is wrong' },
  REFERENCE_INVALID: { exit: 'usage', meaning: 'A reference does not follow the grammar registry/repository[:tag][@digest]' },
  FILTER_INVALID: { exit: 'usage', meaning: 'A --filter does not follow type[,type][:name|glob]' },
  KITFILE_INVALID: { exit: 'usage', meaning: 'The Kitfile breaks the schema; the message gives file, line and column' },
  CONFIG_INVALID: { exit: 'usage', meaning: 'A configuration file, certificate or environment variable cannot be used' },
  POLICY_INVALID: { exit: 'usage', meaning: 'A policy or a test of one cannot be used; the message gives file, line and column' },
  KITFILE_NOT_FOUND: { exit: 'notFound', meaning: 'No Kitfile in the directory' },
  PATH_NOT_FOUND: { exit: 'notFound', meaning: 'A path that is named does not exist' },
  REFERENCE_NOT_FOUND: { exit: 'notFound', meaning: 'No such tag or digest in the store, layout or registry' },
  BLOB_NOT_FOUND: { exit: 'integrity', meaning: 'A blob that a manifest names is missing' },
  QUERY_INVALID: {
    exit: 'usage',
    meaning: 'An expression of `kit query` cannot be understood, or takes too long; the message gives the place',
  },
  CATALOG_INVALID: { exit: 'failure', meaning: 'A catalog is of another version, lacks what is asked for, or is none' },
  DATABASE_FAILED: { exit: 'network', meaning: 'The database of a catalog cannot be reached, or refused' },
  FILTER_UNMATCHED: { exit: 'notFound', meaning: 'A filter selects nothing' },
  PATH_UNREADABLE: { exit: 'failure', meaning: 'A file or directory cannot be read' },
  PATH_EXISTS: { exit: 'failure', meaning: 'A file is in the way and overwriting was not asked for' },
  PATH_UNSUPPORTED: { exit: 'usage', meaning: 'A path cannot be packed: outside the context, a device, a socket, a link loop' },
  SOURCE_CHANGED: { exit: 'failure', meaning: 'A source file changed while it was read' },
  STORE_BUSY: { exit: 'failure', meaning: 'Another process holds the lock of the store' },
  STORE_INVALID: { exit: 'failure', meaning: 'The store or layout is not a valid OCI image layout' },
  STORE_DAMAGED: { exit: 'integrity', meaning: 'Artifacts in the store or layout are damaged or incomplete; `kit store check` names them' },
  DISK_FULL: { exit: 'failure', meaning: 'No space is left on the device' },
  IO_FAILED: { exit: 'failure', meaning: 'The operating system refused a read or write' },
  UNSUPPORTED: { exit: 'failure', meaning: 'The artifact, registry or platform does not support what was asked' },
  REFERENCE_EXISTS: { exit: 'failure', meaning: 'The name is taken: something else is tagged with it already' },
  TAG_MOVED: { exit: 'failure', meaning: 'A tag is not where it was expected: somebody else moved it' },
  REFERENCE_CYCLE: { exit: 'failure', meaning: 'ModelKit references form a loop or a chain that is too long' },
  UNAUTHORIZED: { exit: 'auth', meaning: 'The registry wants (other) credentials' },
  DENIED: { exit: 'auth', meaning: 'The credentials do not allow this' },
  CREDENTIALS_FAILED: { exit: 'auth', meaning: 'A credential helper or file cannot be used' },
  IDENTITY_FAILED: { exit: 'auth', meaning: 'No identity token for signing can be had, or it is of no use' },
  NETWORK: { exit: 'network', meaning: 'The registry cannot be reached, or the connection broke' },
  REGISTRY_ERROR: { exit: 'network', meaning: 'The registry answered with an error or broke the protocol' },
  SERVICE_FAILED: {
    exit: 'network',
    meaning: 'A service that takes part in signing (authority, log, key service, identity provider) refused',
  },
  TLS_FAILED: { exit: 'network', meaning: 'The TLS handshake failed' },
  DIGEST_MISMATCH: { exit: 'integrity', meaning: 'Content does not have the digest that names it' },
  SIZE_MISMATCH: { exit: 'integrity', meaning: 'Content does not have the size that its descriptor gives' },
  SIGNATURE_INVALID: { exit: 'integrity', meaning: 'No signature by the key or identity that was asked for covers the artifact' },
  POLICY_TEST_FAILED: { exit: 'failure', meaning: 'A test of a policy failed; the message names every case' },
  POLICY_VIOLATED: {
    exit: 'integrity',
    meaning: 'A rule of a policy is broken, or could not be shown to hold; the message names every one',
  },
  MANIFEST_INVALID: { exit: 'integrity', meaning: 'A manifest or config is malformed or contradicts itself' },
  LAYER_INVALID: { exit: 'integrity', meaning: 'A layer is not the archive that its media type says' },
  UNSAFE_PATH: { exit: 'integrity', meaning: 'An artifact names a path outside the target, or one that is not portable' },
  UNSAFE_ENTRY: { exit: 'integrity', meaning: 'An archive holds a link, device, duplicate or other entry that is never extracted' },
  LIMIT_EXCEEDED: { exit: 'integrity', meaning: 'An artifact exceeds a limit that protects the machine' },
  INTERRUPTED: { exit: 'interrupted', meaning: 'Stopped by the user' },
  INTERNAL: { exit: 'internal', meaning: 'A defect in this program' },
} as const satisfies Record<string, CodeInfo>;

export type ErrorCode = keyof typeof CODES;

export interface KitErrorOptions {
  /** What to do next: a command where there is one. */
  readonly hint?: string;
  /** Which side of a copy failed. */
  readonly origin?: 'source' | 'destination';
  readonly cause?: unknown;
}

/** Every error that a user can cause. The message names the path, reference or digest. */
export class KitError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly origin: 'source' | 'destination' | undefined;

  constructor(code: ErrorCode, message: string, options: KitErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'KitError';
    this.code = code;
    this.hint = options.hint;
    this.origin = options.origin;
  }

  get exitCode(): number {
    return EXIT[CODES[this.code].exit];
  }
}

/** True when `error` is a KitError, of one of `codes` if any are given. */
export function isKitError(error: unknown, ...codes: ErrorCode[]): error is KitError {
  return error instanceof KitError && (codes.length === 0 || codes.includes(error.code));
}
