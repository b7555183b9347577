/** What a deposit is, and how each of its providers is just now. Brings the newest list of grants to those that lack it. */
import { askStanding, type CustodyUser, findProof, repairGrants } from "../protocols/custody/client/index.ts";
import { surveyReady } from "../protocols/custody/client/ready-survey.ts";
import { ASK_TIMEOUT_MS } from "../protocols/custody/constants.ts";
import { siteOf } from "../protocols/custody/placement.ts";
import type { TokenText } from "../protocols/tokens/token-text.ts";
import type { Shown } from "./client-api.ts";
import { reportCheckedProof } from "./proof-report.ts";

export async function show(asking: CustodyUser, token: TokenText, signal: AbortSignal): Promise<Shown> {
  const { proof, bytes, grant: ownGrant } = await findProof(asking, token, signal);
  const { terms, placement } = proof;
  const survey = surveyReady(asking, terms.tokenId, placement.roster, signal);
  const [standing] = await Promise.all([
    ownGrant === null ? askStanding(asking, terms, placement.roster, { timeoutMs: ASK_TIMEOUT_MS, signal }) : undefined,
    survey.until(() => false), // all of them
  ]);
  signal.throwIfAborted();
  if (standing !== undefined) await repairGrants(asking, siteOf(terms, placement), standing, signal);
  const providers = placement.roster.map((peer) => {
    const ready = survey.ready(placement).find((each) => each.peer === peer);
    const { holdsCiphertext = false, holdsEnvelope = false } = ready ?? {};
    const destroyedAtMs = standing?.destroyed.get(peer)?.receipt.timeMs ?? null;
    const answers = ready !== undefined;
    return { name: asking.directory.nameOf(peer), peer, answers, holdsCiphertext, holdsEnvelope, destroyedAtMs };
  });
  const grants = standing === undefined ? null : (standing.newest?.list.grants ?? []);
  return { report: reportCheckedProof(proof, asking.directory), proof: bytes, providers, grants, grant: ownGrant };
}
