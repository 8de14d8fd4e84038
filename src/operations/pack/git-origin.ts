import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { remoteName } from '../../hub/remote-name.ts';
import type { Annotations } from '../../oci/descriptor.ts';
import { ANNOTATION } from '../../oci/media-types.ts';
import type { Kit } from '../kit.ts';
import { sourceState } from '../artifact/source-revision.ts';

/**
 * Remote and commit of the git work tree that a directory is in, as the annotations of an image; the commit ends in `-dirty` where the
 * directory is not what was committed. @throws KitError UNSUPPORTED where there is no commit
 */
export async function gitOrigin(kit: Kit, directory: string, call: CallOptions): Promise<Annotations> {
  const state = await sourceState(kit, directory, call);
  if (state.vcs === 'none')
    throw new KitError('UNSUPPORTED', `no git origin can be recorded for ${directory}: ${state.reason}`, {
      hint: 'pack without `--git-origin`',
    });
  const { commit, modified, untracked, submodules, remote } = state;
  const isDirty = modified > 0 || untracked > 0 || submodules.some((one) => one.state === 'changed');
  if (isDirty)
    call.onEvent?.({
      type: 'warning',
      code: 'GIT_DIRTY',
      message: `${directory} is not as in commit ${commit}: the revision ends in -dirty`,
    });
  const uri = remote === undefined ? undefined : remoteName(remote).uri;
  return { ...(uri !== undefined && { [ANNOTATION.source]: uri }), [ANNOTATION.revision]: `${commit}${isDirty ? '-dirty' : ''}` };
}
