import { randomUUID } from 'node:crypto';
import { plainText } from '../registry/redact.ts';
import type { Resource } from './resource.ts';
import { gitUri } from './resource.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Who builds, as the environment says: claims that anybody can make. The certificate of a signature says who it really was. */
export interface Builder {
  /** Builds on one machine by one user have no better name. */
  readonly id: string;
  readonly invocationId: string;
  /** What started the build, for `externalParameters`. */
  readonly workflow?: Readonly<Record<string, string>>;
  /** For `internalParameters`, under the name of the system. */
  readonly system?: { readonly name: string; readonly parameters: Readonly<Record<string, string>> };
  /** The commit that the system was told to build. */
  readonly commit?: Resource;
}

/** A build by whoever runs `kit` outside of a CI system that it knows. */
export const LOCAL_BUILDER = 'https://ocikit.dev/builder/local/v1';

export function builderOf(env: Environment): Builder {
  if (env['GITHUB_ACTIONS'] === 'true') return githubActions(env);
  if (env['GITLAB_CI'] === 'true') return gitlabCi(env);
  return { id: LOCAL_BUILDER, invocationId: randomUUID() };
}

/** As actions/attest-build-provenance has it. */
function githubActions(env: Environment): Builder {
  const server = value(env, 'GITHUB_SERVER_URL') ?? 'https://github.com';
  const repository = `${server}/${value(env, 'GITHUB_REPOSITORY') ?? ''}`;
  const workflow = value(env, 'GITHUB_WORKFLOW_REF') ?? '';
  const [, path] = /^[^/]+\/[^/]+\/(.+)@[^@]+$/.exec(workflow) ?? [];
  const ref = value(env, 'GITHUB_REF');
  return {
    id: `${server}/${workflow}`,
    invocationId: `${repository}/actions/runs/${value(env, 'GITHUB_RUN_ID') ?? ''}/attempts/${value(env, 'GITHUB_RUN_ATTEMPT') ?? '1'}`,
    workflow: present({ repository, ref, path }),
    system: {
      name: 'github',
      parameters: present({
        event_name: value(env, 'GITHUB_EVENT_NAME'),
        repository_id: value(env, 'GITHUB_REPOSITORY_ID'),
        repository_owner_id: value(env, 'GITHUB_REPOSITORY_OWNER_ID'),
        runner_environment: value(env, 'RUNNER_ENVIRONMENT'),
      }),
    },
    ...commitOf(repository, ref, value(env, 'GITHUB_SHA')),
  };
}

/** As the provenance of GitLab's own runners has it. */
function gitlabCi(env: Environment): Builder {
  const repository =
    value(env, 'CI_PROJECT_URL') ?? `${value(env, 'CI_SERVER_URL') ?? 'https://gitlab.com'}/${value(env, 'CI_PROJECT_PATH') ?? ''}`;
  const name = value(env, 'CI_COMMIT_REF_NAME');
  const ref = name === undefined ? undefined : `refs/${env['CI_COMMIT_TAG'] ? 'tags' : 'heads'}/${name}`;
  return {
    id: `${repository}/-/runners/${value(env, 'CI_RUNNER_ID') ?? ''}`,
    invocationId: value(env, 'CI_JOB_URL') ?? `${repository}/-/jobs/${value(env, 'CI_JOB_ID') ?? ''}`,
    workflow: present({ repository, ref, path: value(env, 'CI_CONFIG_PATH') }),
    system: {
      name: 'gitlab',
      parameters: present({
        pipeline_source: value(env, 'CI_PIPELINE_SOURCE'),
        pipeline_id: value(env, 'CI_PIPELINE_ID'),
        project_id: value(env, 'CI_PROJECT_ID'),
        job_name: value(env, 'CI_JOB_NAME'),
        runner_description: value(env, 'CI_RUNNER_DESCRIPTION'),
      }),
    },
    ...commitOf(repository, ref, value(env, 'CI_COMMIT_SHA')),
  };
}

function commitOf(repository: string, ref: string | undefined, commit: string | undefined): { commit?: Resource } {
  const uri = gitUri(repository, ref);
  if (commit === undefined || !/^[0-9a-f]{40,64}$/.test(commit) || uri === undefined) return {};
  return { commit: { name: 'source', uri, digest: { gitCommit: commit } } };
}

function value(env: Environment, name: string): string | undefined {
  return plainText(env[name] ?? '') || undefined;
}

function present(fields: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).flatMap(([name, text]) => (text === undefined ? [] : [[name, text]])));
}
