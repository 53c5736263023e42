// Package evidence decides from counts whether a canary is worse than its baseline, no worse, or whether
// there is not enough evidence to say. It is pure mathematics: no I/O, no clock, no randomness. The same
// blocks in the same order give the same bits on the same build, so a list of blocks is the certificate of
// a verdict.
//
// # Two questions, two tests
//
// [Evidence] holds e-processes. An e-process is the wealth of a gambler who bets against a hypothesis in a game
// that is fair, or worse, if the hypothesis holds; the probability that the wealth ever multiplies by 1/alpha
// is then at most alpha (Ville). So anyone may look at any time, as often as they like, and stop whenever the
// answer is clear: there is no sample size and no schedule of looks.
//
//   - For each [Signal] there is one that bets that the canary is bad more often than its baseline. Its hypothesis
//     is that the versions are equal (or that the canary is better). The mean of the signals' wealth, weighted
//     with their shares of alpha, decides: when it reaches 1/alpha the verdict is [Worse], for good.
//   - [Safety] bets that both fail equally often. Its hypothesis is that the canary is worse by at least delta;
//     when it is refuted for the tolerated delta, and on request for latency too, the verdict is [NoWorse].
//
// Neither follows from the absence of the other, and without data neither is refuted: [NotEnough].
//
// Failures are judged by one of two tests. The default is conditional: given how many requests of a block each
// version served and how many of all failed, it bets on which version they hit (see conditional). It needs no
// weight, so it does not mind requests that are counted when they end. With [Config.Coin] the weight of the
// router is known for each request, and fine requests are evidence, too (see coin); that is worth a third of
// the requests of a canary that fails half of the time, and asks for slices in routing order. Both aim their
// bets at the threshold instead of overshooting it (see purse).
//
// Measurements, such as latency, are judged by how often they exceed the [Thresholds], the baseline's p50 to
// p99, conditionally: whether a request was warm depends on the version, so the weight says nothing there. Cold
// starts are a signal of their own and never compared with warm requests.
//
// [Bound] and [NeededCanaryRequests] say what the best possible test needs (Wald and Wolfowitz), before a release
// as an estimate and after it as a measure of how well it was judged.
//
// # What the caller owes
//
//   - The version of a request is drawn at random with the weight in force, independently of the request.
//     Keys that stick to a version, and events that are tried again on the same one, go through [Keys].
//   - A [Slice] is cut without looking at versions, ends when the weight changes, and counts a request under the
//     weight with which it was routed. [Slice.Due] says when to cut.
//   - How long a request takes must not depend on whether it fails differently for the two versions, or slices
//     must hold the requests in the order in which they were routed: otherwise failures that come in before
//     the successes of the same time look like a regression for about one latency.
//   - While the [Window] is shut the weight is 0.
//
// # The certificate
//
// The counts that a verdict rests on are kept as a [Record]: chunks of which each is bet on once, some hundred
// however long the release. [Replay] computes the verdict from them. Saving evidence is saving its record.
//
// # What it achieves
//
// make bench-evidence simulates it and prints the tables: false rollbacks, canary requests until rollback against
// the lower bound and against an oracle that knows both rates, latency, whole releases, and the rules of
// CodeDeploy, Flagger and Argo Rollouts on the same traffic. docs/adr/0010-better-bets.md has the figures.
package evidence
