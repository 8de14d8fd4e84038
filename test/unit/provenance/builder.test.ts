import { describe, expect, test } from 'vitest';
import { builderOf, LOCAL_BUILDER } from '../../../src/provenance/builder.ts';
import { packPredicate } from '../../../src/provenance/predicate.ts';
import { digestSetOf, gitUri } from '../../../src/provenance/resource.ts';
import { slsaErrors } from './slsa-schema.ts';

const COMMIT = 'c'.repeat(40);

const GITHUB = {
  GITHUB_ACTIONS: 'true',
  GITHUB_SERVER_URL: 'https://github.com',
  GITHUB_REPOSITORY: 'team/model',
  GITHUB_WORKFLOW_REF: 'team/model/.github/workflows/pack.yml@refs/heads/main',
  GITHUB_REF: 'refs/heads/main',
  GITHUB_SHA: COMMIT,
  GITHUB_RUN_ID: '17',
  GITHUB_RUN_ATTEMPT: '2',
  GITHUB_EVENT_NAME: 'push',
  GITHUB_REPOSITORY_ID: '1',
  GITHUB_REPOSITORY_OWNER_ID: '2',
  RUNNER_ENVIRONMENT: 'github-hosted',
};

const GITLAB = {
  GITLAB_CI: 'true',
  CI_PROJECT_URL: 'https://gitlab.com/team/model',
  CI_RUNNER_ID: '9',
  CI_JOB_URL: 'https://gitlab.com/team/model/-/jobs/17',
  CI_COMMIT_REF_NAME: 'v1',
  CI_COMMIT_TAG: 'v1',
  CI_COMMIT_SHA: COMMIT,
  CI_CONFIG_PATH: '.gitlab-ci.yml',
  CI_PIPELINE_SOURCE: 'push',
  CI_JOB_NAME: 'pack',
};

const FACTS = {
  parameters: { format: 'modelkit' },
  source: { vcs: 'none', reason: 'the directory is in no git repository' },
  by: 'alice',
  materials: [],
  byproducts: [],
  tool: { name: 'ocikit', version: '1.0.0' },
  startedOn: '2026-01-31T12:00:00.000Z',
  finishedOn: '2026-01-31T12:00:01.000Z',
};

describe('builder', () => {
  test('GitHub Actions', () => {
    expect(builderOf(GITHUB)).toEqual({
      id: 'https://github.com/team/model/.github/workflows/pack.yml@refs/heads/main',
      invocationId: 'https://github.com/team/model/actions/runs/17/attempts/2',
      workflow: { repository: 'https://github.com/team/model', ref: 'refs/heads/main', path: '.github/workflows/pack.yml' },
      system: {
        name: 'github',
        parameters: { event_name: 'push', repository_id: '1', repository_owner_id: '2', runner_environment: 'github-hosted' },
      },
      commit: { name: 'source', uri: 'git+https://github.com/team/model@refs/heads/main', digest: { gitCommit: COMMIT } },
    });
  });

  test('GitLab CI', () => {
    expect(builderOf(GITLAB)).toEqual({
      id: 'https://gitlab.com/team/model/-/runners/9',
      invocationId: 'https://gitlab.com/team/model/-/jobs/17',
      workflow: { repository: 'https://gitlab.com/team/model', ref: 'refs/tags/v1', path: '.gitlab-ci.yml' },
      system: { name: 'gitlab', parameters: { pipeline_source: 'push', job_name: 'pack' } },
      commit: { name: 'source', uri: 'git+https://gitlab.com/team/model@refs/tags/v1', digest: { gitCommit: COMMIT } },
    });
  });

  test('no system that is known: another invocation each time', () => {
    const [one, other] = [builderOf({}), builderOf({ GITHUB_SHA: COMMIT })];
    expect(one).toEqual({ id: LOCAL_BUILDER, invocationId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string });
    expect(one.invocationId).not.toBe(other.invocationId);
  });

  test('what is no commit is left out, and control characters are', () => {
    const { commit, id } = builderOf({ ...GITHUB, GITHUB_SHA: 'main', GITHUB_WORKFLOW_REF: 'a/b/c\u001b[31m@x' });
    expect(commit).toBeUndefined();
    expect(id).toBe('https://github.com/a/b/c [31m@x');
  });

  test.each([
    ['GitHub Actions', GITHUB],
    ['GitLab CI', GITLAB],
    ['one machine', {}],
  ])('valid SLSA v1: %s', (_, env) => {
    expect(slsaErrors(packPredicate({ ...FACTS, builder: builderOf(env) }))).toEqual([]);
  });

  test('the check does refuse', () => {
    const { buildDefinition: _, ...rest } = packPredicate({ ...FACTS, builder: builderOf({}) });
    expect(slsaErrors(rest)).not.toEqual([]);
    expect(slsaErrors(packPredicate({ ...FACTS, builder: builderOf({}), materials: [{ name: 'nothing' }] }))).not.toEqual([]);
  });
});

test.each([
  ['https://user:secret@github.com/team/model.git', 'main', 'git+https://github.com/team/model.git@main'],
  ['https://github.com/team/model.git?token=secret#x', undefined, 'git+https://github.com/team/model.git'],
  ['git@github.com:team/model.git', undefined, 'git+ssh://github.com/team/model.git'],
  ['ssh://git@host:2222/a', 'refs/tags/v1', 'git+ssh://host:2222/a@refs/tags/v1'],
  ['/home/me/repository', undefined, undefined],
  ['../other', undefined, undefined],
  ['file:///home/me/repository', undefined, undefined],
  [undefined, 'main', undefined],
])('uri of the remote %s', (remote, ref, uri) => {
  expect(gitUri(remote, ref)).toBe(uri);
});

test('digests that are none', () => {
  expect(digestSetOf(`sha256:${'a'.repeat(64)}`)).toEqual({ sha256: 'a'.repeat(64) });
  for (const text of ['md5:abc', 'sha256:abc', 'sha256', '', undefined]) expect(digestSetOf(text)).toBeUndefined();
});
