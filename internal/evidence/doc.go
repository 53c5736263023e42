// Package evidence decides from counts whether a canary is worse than its baseline, no worse, or whether
// there is not enough evidence to say. It is pure mathematics: no I/O, no clock, no randomness. The same
// blocks in the same order give the same bits on the same build, so a list of blocks is the certificate of
// a verdict.
//
// # Two questions, two tests
//
// [Evidence] holds two e-processes. An e-process is the wealth of a gambler who bets against a hypothesis
// in a game that is fair, or worse, if the hypothesis holds; the probability that the wealth ever multiplies
// by 1/alpha is then at most alpha (Ville). So anyone may look at any time, as often as they like, and
// stop whenever the answer is clear: there is no sample size and no schedule of looks.
//
//   - [Harm] bets that the canary fails more often than its baseline. Its hypothesis is that the versions
//     are equal (or that the canary is better); when it is refuted the verdict is [Worse].
//   - [Safety] bets that both fail equally often. Its hypothesis is that the canary is worse by at least
//     delta; when it is refuted for the tolerated delta the verdict is [NoWorse].
//
// Neither follows from the absence of the other, and without data neither is refuted: [NotEnough].
//
// Harm is the conditional form of the two-sample e-process of Turner, Ly and Grünwald (JSPI 2024), averaged
// over nine effect sizes. Given the margins of a block it needs nothing but the router's coin: time of day,
// incidents that hit both versions and changing weights cancel out. Safety needs the weight too, and keeps
// totals per weight. [Bound] and [NeededCanaryRequests] say what the best possible test needs (Wald and
// Wolfowitz), before a release as an estimate and after it as a measure of how well it was judged.
//
// # What the caller owes
//
//   - The version of a request is drawn at random with the weight in force, independently of the request.
//     Requests pinned to a version, and keys that stick to one, must not be added one by one.
//   - A block is cut without looking at versions or outcomes, ends when the weight changes, and is complete:
//     a request counts under the weight with which it was routed, in the block in which it was routed. If
//     blocks hold the requests that have finished, a canary that is slower but not worse can look better
//     or worse for about one latency.
//   - Small blocks decide sooner. Blocks of 20 requests cost about 1.5 to 1.8 times the information bound;
//     a minute of CloudWatch works, and then a minute is the least delay.
//
// # What it achieves
//
// Simulated with go test ./internal/evidence -run TestSimulation -runs 2000 -v, blocks of 20 requests at
// weight 10 %, alpha 1 %:
//
//	error rates      canary requests until rollback    errors   mean/bound
//	                 median         mean
//	0.1 % -> 1 %     533            624                6        1.51
//	0.1 % -> 5 %     61             73                 3        1.49
//	0.1 % -> 50 %    6              6                  3        1.78
//	1 % -> 5 %       178            204                10       1.54
//	1 % -> 50 %      7              7                  3        1.68
//
// A canary that changes nothing is rolled back in 0.4 % (base 0.1 %) and 0.5 % (base 1 %) of releases that
// are watched for 180 000 requests. Through the weights 1, 5, 25, 50 % with [ToleratedHarm] a good version
// with 0.1 % errors takes 3180 requests of both versions; 6.5 % of the versions with 1 % errors slip
// through, because 0.9 points are less than the last step tolerates, and none with 5 %.
package evidence
