// Package httpclient is the one HTTP client through which every vendor package talks.
//
// It decides once what each vendor package would otherwise decide for itself: which addresses and
// certificates are accepted, how long an exchange may last and how large an answer may be, what is
// sent again and what never is, which class of [provider.Error] a failure belongs to, and what of a
// vendor's text may be passed on to people.
//
// Its central promise is about requests that create something. A request that is not marked
// [Request.Repeatable] is handed to the network at most once, and its failure is
// [provider.ClassUnavailable] only when no byte of it can have left this machine. Every other failure
// without a complete answer is [provider.ClassAmbiguous].
package httpclient
