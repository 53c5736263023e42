// Package awsapi is the AWS wire front end of the server: it turns signed HTTP requests into calls of
// plain Go methods and their results back into the bytes that AWS clients expect.
//
// # One request
//
//	classify      which protocol, which operation, how large a body (pure; nothing is read)
//	authenticate  SigV4: claims from the headers first, then the body up to its limit, then the signature
//	serve         decode the input, call the backend, encode the output
//	fail          any error of the steps above, in the error shape of the caller's protocol
//
// # Where the tables come from
//
// The AWS SDK's schemas are the wire contract. Method, path, success code and the binding of every member
// to path, query, header or body are read from them when an [API] is made; so are the status and the
// member names of errors. [API] panics at construction if a schema asks for something that this package
// cannot do, which a test turns into a build failure. Inputs are decoded by field name, outputs serialize
// themselves through the SDK's own restJson1 serializer. Invoke is written by hand, for speed, and InvokeWithResponseStream, whose reply
// is a stream.
//
// An operation of Lambda that has no backend answers 501 NotImplementedException; so does every
// operation of another service, in that service's protocol. A path that belongs to no operation answers
// 404 UnknownOperationException. Nothing is ever answered in HTML or with a redirect.
//
// # Decisions about hostile or sloppy input
//
//   - Every request is authenticated before anything about it is answered, even that its path is unknown.
//   - A body is never held beyond its operation's limit, and not at all unless the headers name a known key,
//     a valid scope and a fresh date. With a declared X-Amz-Content-Sha256 the signature is checked before the
//     body is held. What is refused is discarded in part, so that the client lives to read why.
//   - UNSIGNED-PAYLOAD is refused: the body's own hash always takes part in the signature. No Lambda client
//     leaves its payload unsigned.
//   - Without authentication a request must name a loopback host and must not come from a web page of another
//     origin: else any page in a browser on the machine could create functions.
//   - A request body that is not JSON, has a member of the wrong type, names a member twice or holds
//     broken base64 gets 400 InvalidRequestContentException, "Could not parse request body into json: …", the
//     text that Lambda's REST front end uses, with the place of the fault. Unknown members are ignored, null
//     is the same as absent, names are case-sensitive.
//   - Members bound to path, query or header are taken from there alone; a body cannot set them.
//
// # Signatures
//
// Signatures are verified by a canonical request built from what arrived, rather than by signing again with
// the SDK's signer: that signer leaves User-Agent, Expect and X-Amzn-Trace-Id out of every signature
// (clients exist that sign them), and its key cache is neither bounded nor aware of a changed secret. The
// tests hold this package to the SDK's signer and to the aws command line.
package awsapi
