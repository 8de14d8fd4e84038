import type { S3ClientConfig } from '@aws-sdk/client-s3';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What the environment says of S3: the variables of AWS, before them those of KitOps (`S3_API_ENDPOINT`, `S3_REGION`, `S3_ACCESS_KEY_ID`,
 * `S3_SECRET_KEY`). What is not given is left to the SDK: profiles, single sign-on, roles of containers and machines.
 */
export function s3Settings(env: Environment): S3ClientConfig {
  const first = (...names: string[]): string | undefined =>
    names.map((name) => env[name]).find((value) => value !== undefined && value !== '');
  const endpoint = first('S3_API_ENDPOINT', 'AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL');
  const region = first('S3_REGION', 'AWS_REGION', 'AWS_DEFAULT_REGION');
  const profile = first('AWS_PROFILE');
  const credentials =
    keysOf(env, 'S3_ACCESS_KEY_ID', 'S3_SECRET_KEY') ?? keysOf(env, 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN');
  return {
    // servers besides AWS seldom have a name for each bucket
    ...(endpoint !== undefined && { endpoint, forcePathStyle: true }),
    ...(region !== undefined && { region }),
    ...(profile !== undefined && { profile }),
    ...(credentials !== undefined && { credentials }),
  };
}

function keysOf(env: Environment, id: string, secret: string, token?: string): S3ClientConfig['credentials'] {
  const accessKeyId = env[id];
  const secretAccessKey = env[secret];
  if (!accessKeyId || !secretAccessKey) return undefined;
  const sessionToken = token === undefined ? undefined : env[token];
  return { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) };
}
