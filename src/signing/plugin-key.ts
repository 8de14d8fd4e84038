import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import * as z from 'zod';
import { KitError } from '../errors.ts';
import { plainText } from '../registry/redact.ts';
import type { Environment } from './key-file.ts';
import type { KeyService } from './key-service.ts';

/** 5: SHA-256 in Go's crypto.Hash, which the protocol takes over. */
const SHA256 = 5;
const TIMEOUT_MS = 120_000;
const MAX_REPLY_BYTES = 1024 * 1024;

const replySchema = z.looseObject({
  errorMessage: z.string().optional(),
  publicKey: z.looseObject({ publicKeyPEM: z.base64() }).nullish(),
  signMessage: z.looseObject({ signature: z.base64() }).nullish(),
});

/**
 * A key that the program `sigstore-kms-<scheme>` on PATH holds or knows how to reach: cosign's plugin protocol, version v1. The arguments
 * are JSON, what is signed goes to its standard input, its answer is JSON on standard output.
 */
export function pluginKey(scheme: string, name: string, env: Environment): KeyService {
  const ask = async (method: object, input: Uint8Array): Promise<z.infer<typeof replySchema>> =>
    await run(
      `sigstore-kms-${scheme}`,
      { initOptions: { protocolVersion: 'v1', keyResourceID: name, hashFunc: SHA256, cliFlags: {} }, methodArgs: method },
      { input, name, env },
    );
  return {
    publicKey: async () => {
      const { publicKey } = await ask({ methodName: 'publicKey', publicKey: { publicKeyOptions: { rpcOptions: {} } } }, Buffer.alloc(0));
      if (publicKey) return Buffer.from(publicKey.publicKeyPEM, 'base64').toString('utf8');
      throw new KitError('SERVICE_FAILED', `${name}: sigstore-kms-${scheme} answered without a public key`);
    },
    sign: async (data) => {
      const digest = createHash('sha256').update(data).digest('base64');
      const options = { rpcOptions: {}, messageOptions: { digest, hashFunc: SHA256 } };
      const { signMessage } = await ask({ methodName: 'signMessage', signMessage: { signMessageOptions: options } }, data);
      if (signMessage) return Buffer.from(signMessage.signature, 'base64');
      throw new KitError('SERVICE_FAILED', `${name}: sigstore-kms-${scheme} answered without a signature`);
    },
  };
}

interface Call {
  readonly input: Uint8Array;
  readonly name: string;
  readonly env: Environment;
}

async function run(program: string, args: object, { input, name, env }: Call): Promise<z.infer<typeof replySchema>> {
  const child = spawn(program, ['v1', JSON.stringify(args)], {
    env: { ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  // a program that answers without reading is not at fault
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const parts: Buffer[] = [];
  let length = 0;
  child.stdout.on('data', (part: Buffer) => {
    length += part.length;
    if (length > MAX_REPLY_BYTES) child.kill();
    else parts.push(part);
  });
  try {
    await once(child, 'close');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new KitError('SERVICE_FAILED', `${name}: ${program} cannot be run`, { cause });
    throw new KitError('CONFIG_INVALID', `${name}: there is no ${program} on PATH`, {
      hint: 'install that plugin of sigstore, or use a key file, env://NAME, hashivault://KEY or openbao://KEY',
      cause,
    });
  }
  const reply = parse(Buffer.concat(parts).toString('utf8'));
  if (reply === undefined)
    throw new KitError('SERVICE_FAILED', `${name}: ${program} answered with something that is not of its protocol (v1)`);
  // its exit status says nothing
  if (reply.errorMessage) throw new KitError('SERVICE_FAILED', `${name}: ${program}: ${plainText(reply.errorMessage)}`);
  return reply;
}

function parse(text: string): z.infer<typeof replySchema> | undefined {
  try {
    return replySchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
