// Package httpclient is the HTTP client of all vendor packages.
//
// It implements once what every vendor package needs: which addresses and certificates are accepted, how long an
// exchange may take and how large an answer may be, which requests are sent again, which class of [provider.Error] a
// failure has, and how a vendor's text is redacted before an operator sees it.
//
// Its most important guarantee is about requests that create something. A request that is not
// [Request.Idempotent] is sent at most once. Its failure is [provider.ClassUnavailable] only if no byte of it
// can have left this machine. Every other failure without a complete answer is [provider.ClassAmbiguous].
package httpclient
