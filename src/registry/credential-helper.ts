import { spawn } from 'node:child_process';
import { KitError } from '../errors.ts';
import { type Credential, credentialKey } from './credential.ts';
import { plainText } from './redact.ts';

export interface HelperOptions {
  /** Environment of the helper; its PATH finds it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds; a helper may have to ask the user to unlock a keychain. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 1024 * 1024;
const NAME = /^[\w.-]+$/;

/**
 * Asks `docker-credential-NAME get` (Docker's credential helper protocol). Undefined when the helper knows no credentials.
 * @throws KitError CREDENTIALS_FAILED naming the helper
 */
export async function askCredentialHelper(name: string, registry: string, options: HelperOptions): Promise<Credential | undefined> {
  const program = `docker-credential-${name}`;
  if (!NAME.test(name)) throw new KitError('CREDENTIALS_FAILED', `\`${plainText(name)}\` is not the name of a credential helper`);
  const { status, output, error } = await run(program, credentialKey(registry), options);
  const text = output.trim();
  if (status !== 0) {
    // helpers tell this on stdout, in these words
    if (/credentials not found/i.test(text)) return undefined;
    throw failed(program, registry, plainText(text) || plainText(error) || `exit status ${status}`);
  }
  return parseAnswer(text, program, registry);
}

function parseAnswer(text: string, program: string, registry: string): Credential | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw failed(program, registry, 'its answer is not JSON');
  }
  const { Username: username, Secret: secret } = (value ?? {}) as Record<string, unknown>;
  if (typeof username !== 'string' || typeof secret !== 'string') throw failed(program, registry, 'its answer lacks Username or Secret');
  if (secret === '') return undefined;
  return username === '<token>' ? { identityToken: secret } : { username, password: secret };
}

interface HelperResult {
  readonly status: number | string;
  readonly output: string;
  readonly error: string;
}

/** Gathers what `stream` says, up to a limit. */
function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    size += chunk.byteLength;
    if (size <= MAX_OUTPUT_BYTES) chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString('utf8');
}

async function run(program: string, input: string, options: HelperOptions): Promise<HelperResult> {
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  options.signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['get'], {
      env: { ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      windowsHide: true,
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const [output, error] = [collect(child.stdout), collect(child.stderr)];
    child.on('error', (cause) => {
      if (options.signal?.aborted === true) reject(options.signal.reason as Error);
      else
        reject(failed(program, input, (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'it is not installed' : cause.message, cause));
    });
    child.on('close', (code, signal) => {
      if (code === null && child.killed) reject(failed(program, input, `no answer within ${timeoutMs / 1000} s`));
      else resolve({ status: code ?? signal ?? 'unknown', output: output(), error: error() });
    });
    // a helper that does not read its input closes the pipe early: its exit status tells more
    child.stdin.on('error', () => undefined);
    child.stdin.end(`${input}\n`);
  });
}

function failed(program: string, registry: string, why: string, cause?: unknown): KitError {
  return new KitError('CREDENTIALS_FAILED', `${program}: no credentials for ${registry}: ${why}`, {
    hint: `repair or install \`${program}\`, or take it out of Docker's config.json, or run \`kit login\``,
    cause,
  });
}
